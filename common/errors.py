"""The one error a user can mend: bad input, said in one line."""


class InputError(ValueError):
    """Input that breaks a rule: ``<name> must <rule>, got <value>; <what to do>``.

    Commands print its message alone, without a traceback, and exit with code 1.
    """
