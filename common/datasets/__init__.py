"""Published data sets as labelled cases, and how they are split."""
