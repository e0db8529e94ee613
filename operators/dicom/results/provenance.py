"""Who made a result, said the same way wherever DICOM asks (IHE AIR, table 6.5.3.1-1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import highdicom as hd
from pydicom import Dataset

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.uids import derive_uid
from operators.dicom.study.character_sets import bytes_in, character_set_of
from operators.domain.concepts import ARTIFICIAL_INTELLIGENCE, DEVICE, PROCESSING_EQUIPMENT
from operators.domain.finding import Algorithm


@dataclass(frozen=True, slots=True)
class Provenance:
    """The producer of a result.

    model_name, software_versions : the model folder's name, and the versions of model and code
    model_digest, settings_digest : hex SHA-256; the device's identity changes with them
    demonstration : the model was made to show the software, not to find anything
    institution_name : of the site, None to name none
    series_names : by kind of object, the site's own words for the Series Description
    """

    model_name: str
    software_versions: str
    model_digest: str
    settings_digest: str
    demonstration: bool
    manufacturer: str = "curia-pacs"
    institution_name: str | None = None
    series_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def device_uid(self) -> str:
        """Changes with the weights, the code's version and the settings (IHE AIR 6.5.3.1)."""
        return derive_uid("device", self.model_name, self.software_versions, self.model_digest, self.settings_digest)

    @property
    def device_serial_number(self) -> str:
        return self.device_uid.removeprefix("2.25.")[:16]

    @property
    def use_statement(self) -> str:
        """What every object must say about itself."""
        model = " Demonstration model: its results carry no meaning." if self.demonstration else ""
        return f"Research use only. Not for diagnosis or treatment.{model}"

    def series_description(self, content: str) -> str:
        suffix = ", demonstration model" if self.demonstration else ""
        return f"{content} (research use only{suffix})"

    def contributing_equipment(self) -> hd.ContributingEquipment:
        equipment = hd.ContributingEquipment(
            self.manufacturer,
            coded_concept(PROCESSING_EQUIPMENT),
            manufacturer_model_name=self.model_name,
            software_versions=self.software_versions,
            device_serial_number=self.device_serial_number,
            contribution_description="Analysis by an artificial intelligence model, for research use only",
        )
        equipment.DeviceUID = self.device_uid  # required by IHE AIR; highdicom has no argument for it
        return equipment

    def segment_algorithm(self, head: Algorithm) -> hd.AlgorithmIdentificationSequence:
        """Segmentation Algorithm Identification (PS3.3 10.16): the product, with the head as parameters."""
        return hd.AlgorithmIdentificationSequence(
            name=self.model_name,
            family=coded_concept(ARTIFICIAL_INTELLIGENCE),
            version=self.software_versions,
            source=self.manufacturer,
            parameters=_head_parameters(head),
        )

    def report_algorithm(self, head: Algorithm) -> hd.sr.AlgorithmIdentification:
        """TID 4019 Algorithm Identification, the same values."""
        return hd.sr.AlgorithmIdentification(
            name=self.model_name,
            version=self.software_versions,
            parameters=[f"{name}={value}" for name, value in _head_parameters(head).items()],
            family=coded_concept(ARTIFICIAL_INTELLIGENCE),
            manufacturer=self.manufacturer,
        )

    def device_observer(self) -> hd.sr.ObserverContext:
        """TID 1004 Device Observer."""
        return hd.sr.ObserverContext(
            coded_concept(DEVICE),
            hd.sr.DeviceObserverIdentifyingAttributes(
                uid=self.device_uid,
                name=self.model_name,
                manufacturer_name=self.manufacturer,
                model_name=self.model_name,
                serial_number=self.device_serial_number,
            ),
        )

    def stamp_equipment(self, dataset: Dataset) -> None:
        """General Equipment (PS3.3 C.7.5.1); the Device UID stands in Contributing Equipment."""
        dataset.Manufacturer = self.manufacturer
        dataset.ManufacturerModelName = self.model_name
        dataset.DeviceSerialNumber = self.device_serial_number
        dataset.SoftwareVersions = self.software_versions

    def stamp_site(self, dataset: Dataset, kind: str) -> None:
        """The site's own names, in UTF-8 where the source's character set may lack their letters.

        A Patient ID beyond ASCII keeps its bytes and its character set; a name that this set lacks is left out.
        """
        names = {"InstitutionName": self.institution_name, "SeriesDescription": self.series_names.get(kind)}
        if names["SeriesDescription"]:
            names["SeriesDescription"] = self.series_description(names["SeriesDescription"])
        is_bound = not all(str(dataset.get(keyword) or "").isascii() for keyword in ("PatientID", "IssuerOfPatientID"))
        for keyword, name in names.items():
            if name and is_bound and bytes_in(name, character_set_of(dataset)) is None:
                continue
            if name:
                setattr(dataset, keyword, name)
                if not name.isascii() and not is_bound:
                    dataset.SpecificCharacterSet = "ISO_IR 192"


def _head_parameters(head: Algorithm) -> dict[str, str]:
    return {"head": head.name, "head_version": head.version, "head_sha256": head.sha256}
