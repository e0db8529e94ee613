"""A log-in as DICOM writes people."""


def person_name(user: str) -> str:
    """A Person Name (PS3.5 6.2): without what would divide it into components, and within its length."""
    return "".join(" " if letter in "\\^=" or not letter.isprintable() else letter for letter in user)[:64].strip()
