"""Every coded concept that the software itself writes or looks for: one thing has one code everywhere.

The model's label files bring codes of their own for what a head tells apart; those that they share with this table mean
the same in both.
"""

from dataclasses import dataclass

LONGEST_SCHEME = 16
LONGEST_MEANING = 64


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (DICOM PS3.3 section 8).

    scheme : the coding scheme's designator, DCM, SCT, UCUM, ...; at most 16 letters
    meaning : for people; at most 64 letters

    Raises
    ------
    ValueError
        For what DICOM could not write.
    """

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        parts = (
            ("value", self.value, None),
            ("scheme", self.scheme, LONGEST_SCHEME),
            ("meaning", self.meaning, LONGEST_MEANING),
        )
        for name, text, longest in parts:
            if not text or not text.isprintable() or "\\" in text or (longest and len(text) > longest):
                limit = f"1 to {longest}" if longest else "some"
                raise ValueError(f"code {name}: expected {limit} letters without a backslash, got {len(text)} letters")


# Derivation and references

SEGMENTATION = Code("113076", "DCM", "Segmentation")  # CID 7203
UNSPECIFIED_CALCULATION = Code("112187", "DCM", "Unspecified method of calculation")  # CID 7203
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")  # CID 7202
OF_INTEREST = Code("113000", "DCM", "Of Interest")  # CID 7010

# Who made it

PERSON = Code("121006", "DCM", "Person")  # CID 270
DEVICE = Code("121007", "DCM", "Device")  # CID 270
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")  # CID 7162
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")  # CID 7005

# What joins two frames of reference

FRAME_OF_REFERENCE_IDENTITY = Code("125021", "DCM", "Frame of Reference Identity")  # CID 7100
IMAGE_CONTENT_ALIGNMENT = Code("125024", "DCM", "Image Content-based Alignment")  # CID 7100

# What somebody outlined without saying what it is

SPATIAL_CONCEPT = Code("309825002", "SCT", "Spatial and Relational Concept")  # CID 7150
IMAGE_REGION = Code("111030", "DCM", "Image Region")
LYMPH_NODE = Code("59441001", "SCT", "Lymph node")

# What no standard has a code for (PS3.16 section 8: a private designator begins with 99)

OWN_SCHEME = "99CURIA"

VOLUME_CHANGE = Code("volume-change", OWN_SCHEME, "Change of volume since the prior")
VOLUME_CHANGE_PERCENT = Code("volume-percent", OWN_SCHEME, "Change of volume since the prior in percent")
VOLUME_DOUBLING_TIME = Code("doubling-time", OWN_SCHEME, "Doubling time of the volume")
SUM_OF_DIAMETERS = Code("sum-of-diameters", OWN_SCHEME, "Sum of diameters of tracked lesions")
SUM_CHANGE_PERCENT = Code("sum-percent", OWN_SCHEME, "Change of the sum since the first date in percent")
REGISTRATION_VERDICT = Code("reg-verdict", OWN_SCHEME, "Verdict on the registration")
VERDICTS = {
    "good": Code("reg-good", OWN_SCHEME, "Good: no figure beyond its limits"),
    "doubtful": Code("reg-doubtful", OWN_SCHEME, "Doubtful: look at both images"),
    "failed": Code("reg-failed", OWN_SCHEME, "Failed: nothing is compared"),
}

JUDGEMENT = Code("judgement", OWN_SCHEME, "Judgement of a finding by a reader")
JUDGEMENTS = {
    "accepted": Code("accepted", OWN_SCHEME, "Accepted"),
    "rejected": Code("rejected", OWN_SCHEME, "Rejected"),
    "corrected": Code("corrected", OWN_SCHEME, "Accepted with a correction"),
}

# The report's frame (TID 1500)

IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")  # CID 7021
ONCOLOGY_MEASUREMENT_REPORT = Code("126001", "DCM", "Oncology Measurement Report")  # CID 7021
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")
FINDING = Code("121071", "DCM", "Finding")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
PERSON_OBSERVER_NAME = Code("121008", "DCM", "Person Observer Name")

IMAGING_PROCEDURES = {
    # CID 100, for sources that do not name their procedure
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
}
ANY_IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")  # CID 100

# The report's image library (TID 1600, 1602 and 1604)

IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")  # CID 7551
MODALITY = Code("121139", "DCM", "Modality")
MODALITIES = {
    # CID 29
    "CT": Code("CT", "DCM", "Computed Tomography"),
    "MR": Code("MR", "DCM", "Magnetic Resonance"),
    "PT": Code("PT", "DCM", "Positron emission tomography"),
}
FRAME_OF_REFERENCE_UID = Code("112227", "DCM", "Frame of Reference UID")
PIXEL_DATA_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
HORIZONTAL_PIXEL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_PIXEL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")
SPACING_BETWEEN_SLICES = Code("112226", "DCM", "Spacing between slices")
SLICE_THICKNESS = Code("112225", "DCM", "Slice Thickness")
IMAGE_ORIENTATION = (
    # in the order of the values of Image Orientation (Patient)
    Code("110904", "DCM", "Image Orientation (Patient) Row X"),
    Code("110905", "DCM", "Image Orientation (Patient) Row Y"),
    Code("110906", "DCM", "Image Orientation (Patient) Row Z"),
    Code("110907", "DCM", "Image Orientation (Patient) Column X"),
    Code("110908", "DCM", "Image Orientation (Patient) Column Y"),
    Code("110909", "DCM", "Image Orientation (Patient) Column Z"),
)

# Answers

PRESENCE = Code("121052", "DCM", "Presence of property")
PRESENT = Code("52101004", "SCT", "Present")  # CID 240
ABSENT = Code("272519000", "SCT", "Absent")  # CID 240
NOT_EVALUATED = Code("373121007", "SCT", "Not Evaluated")
PROBABILITY = Code("122157", "DCM", "Probability")
THRESHOLD = Code("122411", "DCM", "Threshold Value")
TARGET_REGION = Code("123014", "DCM", "Target Region")

# Measurements and units

VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")  # CID 7470
SHORT_AXIS = Code("103340004", "SCT", "Short axis")  # CID 7470
MAXIMUM_3D_DIAMETER = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")  # CID 7470

NO_UNITS = Code("1", "UCUM", "no units")
MILLILITRE = Code("mL", "UCUM", "milliliter")
MILLIMETRE = Code("mm", "UCUM", "mm")
DAYS = Code("d", "UCUM", "day")
PERCENT = Code("%", "UCUM", "Percent")
PIXELS = Code("{pixels}", "UCUM", "pixels")
REGISTRATION_FIGURES = {
    # by field of `operators.domain.registration.RegistrationQuality`: what it is called, and its unit
    "edge_agreement_before": (Code("edges-before", OWN_SCHEME, "Agreement of edges before registration"), NO_UNITS),
    "edge_agreement_after": (Code("edges-after", OWN_SCHEME, "Agreement of edges after registration"), NO_UNITS),
    "overlap": (Code("reg-overlap", OWN_SCHEME, "Share of the body that the prior shows"), NO_UNITS),
    "inverse_consistency_error_mm": (
        Code("reg-there-back", OWN_SCHEME, "Inverse consistency error"),
        MILLIMETRE,
    ),
    "folded_share": (Code("reg-folded", OWN_SCHEME, "Share of folded voxels"), NO_UNITS),
    "log_jacobian_sd": (Code("reg-volume-sd", OWN_SCHEME, "Spread of local change of volume (log)"), NO_UNITS),
}
FROM_MINUS_ONE_TO_ONE = Code("{-1:1}", "UCUM", "{-1:1}")

# What is seen, and where

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")  # CID 7150
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")  # CID 7150

MASS = Code("4147007", "SCT", "Mass")
"""What is seen; "Neoplasm" would say what it is."""

SEGMENTS = {
    # by label: category and type
    "lung": (ANATOMICAL_STRUCTURE, Code("39607008", "SCT", "Lung")),
    "liver": (ANATOMICAL_STRUCTURE, Code("10200004", "SCT", "Liver")),
    "bone": (ANATOMICAL_STRUCTURE, Code("272673000", "SCT", "Bone")),
    "left ventricle": (ANATOMICAL_STRUCTURE, Code("87878005", "SCT", "Left ventricle")),
    "hippocampus": (ANATOMICAL_STRUCTURE, Code("5366008", "SCT", "Hippocampus")),
    "soft-tissue mass": (ABNORMAL_STRUCTURE, MASS),
    "brain mass": (ABNORMAL_STRUCTURE, MASS),
}
BODY_REGIONS = {
    "head": Code("69536005", "SCT", "Head"),
    "chest": Code("816094009", "SCT", "Chest"),
    "abdomen": Code("818981001", "SCT", "Abdomen"),
    "extremity": Code("66019005", "SCT", "Extremity"),
    "other": Code("38866009", "SCT", "Body part structure"),
}
FINDINGS = {
    # by name: finding and site
    "soft-tissue mass": (MASS, Code("87784001", "SCT", "Soft tissue")),
    "brain mass": (MASS, Code("12738006", "SCT", "Brain")),
}

# Words for what people point at

ORGANS = {
    "heart": Code("80891009", "SCT", "Heart"),
    "aorta": Code("15825003", "SCT", "Aorta"),
    "trachea": Code("44567001", "SCT", "Trachea"),
    "esophagus": Code("32849002", "SCT", "Esophagus"),
    "thyroid": Code("69748006", "SCT", "Thyroid"),
    "kidney": Code("64033007", "SCT", "Kidney"),
    "spleen": Code("78961009", "SCT", "Spleen"),
    "pancreas": Code("15776009", "SCT", "Pancreas"),
    "gallbladder": Code("28231008", "SCT", "Gallbladder"),
    "stomach": Code("69695003", "SCT", "Stomach"),
    "duodenum": Code("38848004", "SCT", "Duodenum"),
    "small intestine": Code("30315005", "SCT", "Small intestine"),
    "colon": Code("71854001", "SCT", "Colon"),
    "rectum": Code("34402009", "SCT", "Rectum"),
    "adrenal gland": Code("23451007", "SCT", "Adrenal gland"),
    "bladder": Code("89837001", "SCT", "Bladder"),
    "prostate": Code("41216001", "SCT", "Prostate"),
    "uterus": Code("35039007", "SCT", "Uterus"),
    "brain": Code("12738006", "SCT", "Brain"),
    "cerebellum": Code("113305005", "SCT", "Cerebellum"),
    "spinal cord": Code("2748008", "SCT", "Spinal cord"),
    "lymph node": Code("59441001", "SCT", "Lymph node"),
}
ABNORMALITIES = {
    "nodule": Code("27925004", "SCT", "Nodule"),
    "lesion": Code("52988006", "SCT", "Lesion"),
    "cyst": Code("367643001", "SCT", "Cyst"),
    "hemorrhage": Code("50960005", "SCT", "Hemorrhage"),
    "edema": Code("79654002", "SCT", "Edema"),
    "effusion": Code("41699000", "SCT", "Effusion"),
}
