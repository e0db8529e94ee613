"""The coded concepts that the embedded model's heads speak of."""

from operators.domain.finding import Code
from operators.heads.labels import Label

ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
ABNORMALITY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
TARGET_REGION = Code("123014", "DCM", "Target Region")

REGIONS = (
    Label(name="head", code=Code("69536005", "SCT", "Head")),
    Label(name="chest", code=Code("816094009", "SCT", "Chest")),
    Label(name="abdomen", code=Code("818981001", "SCT", "Abdomen")),
    Label(name="extremity", code=Code("66019005", "SCT", "Extremity")),
    Label(name="other", code=Code("38866009", "SCT", "Body part structure")),
)

ORGANS = (
    Label(name="lung", code=Code("39607008", "SCT", "Lung"), category=ANATOMY),
    Label(name="liver", code=Code("10200004", "SCT", "Liver"), category=ANATOMY),
    Label(name="bone", code=Code("272673000", "SCT", "Bone"), category=ANATOMY),
)

MASS = Label(
    name="soft-tissue mass",
    code=Code("4147007", "SCT", "Mass"),
    category=ABNORMALITY,
    site=Code("87784001", "SCT", "Soft tissue"),
)
