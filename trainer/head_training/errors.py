"""What is wrong with a table or with settings that a user wrote."""


class HeadTrainingError(ValueError):
    """The message names the file, the row or the key, what was expected, what came and what to do."""
