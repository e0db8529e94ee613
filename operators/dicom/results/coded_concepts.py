"""Every coded concept that we write ourselves.

Findings, sites and segments bring their own codes from the model's label files; ``SEGMENTS``, ``BODY_REGIONS``
and ``FINDINGS`` are the ones those files should use, so that one thing has one code everywhere.
"""

import highdicom as hd

from operators.domain.finding import Code

SEGMENTATION = Code("113076", "DCM", "Segmentation")  # CID 7203
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")  # CID 7202

PRESENT = Code("52101004", "SCT", "Present")  # CID 240
ABSENT = Code("272519000", "SCT", "Absent")  # CID 240
NOT_EVALUATED = Code("373121007", "SCT", "Not Evaluated")
PRESENCE = Code("121052", "DCM", "Presence of property")

PROBABILITY = Code("122157", "DCM", "Probability")
THRESHOLD = Code("122411", "DCM", "Threshold Value")
NO_UNITS = Code("1", "UCUM", "no units")

SOURCE = Code("260753009", "SCT", "Source")  # CID 7551
UNSPECIFIED_CALCULATION = Code("112187", "DCM", "Unspecified method of calculation")  # CID 7203
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
COMMENT = Code("121106", "DCM", "Comment")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")  # CID 7021
ONCOLOGY_MEASUREMENT_REPORT = Code("126001", "DCM", "Oncology Measurement Report")  # CID 7021
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
OF_INTEREST = Code("113000", "DCM", "Of Interest")  # CID 7010
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")  # CID 7162
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")  # CID 7005

IMAGING_PROCEDURES = {
    # CID 100, for sources that do not name their procedure
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
}
ANY_IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")  # CID 100

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")  # CID 7150
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")  # CID 7150

SEGMENTS = {
    # by label: category and type
    "lung": (ANATOMICAL_STRUCTURE, Code("39607008", "SCT", "Lung")),
    "liver": (ANATOMICAL_STRUCTURE, Code("10200004", "SCT", "Liver")),
    "bone": (ANATOMICAL_STRUCTURE, Code("272673000", "SCT", "Bone")),
    # "Mass" says what is seen; "Neoplasm" would say what it is.
    "soft-tissue mass": (ABNORMAL_STRUCTURE, Code("4147007", "SCT", "Mass")),
}
BODY_REGIONS = {
    "head": Code("69536005", "SCT", "Head"),
    "chest": Code("816094009", "SCT", "Chest"),
    "abdomen": Code("818981001", "SCT", "Abdomen"),
    "extremity": Code("66019005", "SCT", "Extremity"),
    "other": Code("38866009", "SCT", "Body part"),
}
FINDINGS = {
    # by name: finding and site
    "soft-tissue mass": (Code("4147007", "SCT", "Mass"), Code("87784001", "SCT", "Soft tissue")),
}


def coded_concept(code: Code) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
