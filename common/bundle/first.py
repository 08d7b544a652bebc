"""The first line of ours in a command: every config's first import.

Before all else MONAI runs whatever reads `$import`, in order, also where a path given on the
command line begins so. What comes first can still refuse it.
"""

from .command_line import first_look

first_look()
