"""Python imports this at its start, in the processes that tests start; see ``handler_marks``."""

import handler_marks

handler_marks.install()
