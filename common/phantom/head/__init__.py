"""The head of the synthetic patient: skull, brain, what bleeds, blocks, grows or breaks in it.

Frame of reference for all of it: RAS mm with the anterior commissure at the origin and the
posterior one behind it on the y axis. `build` draws who it is, `vault` the large surfaces, `base`
the bones, air and orbits below them, `tissue` and `ventricles` what is inside, `findings_*` what
is wrong; `drawing` fills the voxels.
"""

from .make import make_head
from .phantom import HeadPhantom

__all__ = ["HeadPhantom", "make_head"]
