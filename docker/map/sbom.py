"""A CycloneDX bill of what an image installs: every package with its version, licence and package URL."""

from collections.abc import Callable, Mapping
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL


def bill_of_materials(name: str, version: str, packages: Mapping[str, str], licence: Callable[[str], str]) -> str:
    """JSON of CycloneDX 1.6, the same text for the same packages.

    packages : version by name
    licence : gives a package's licence, an SPDX expression or plain words
    """
    licences = LicenseFactory()
    root = Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=name)
    bom = Bom(
        components=[
            Component(
                name=package,
                version=release,
                type=ComponentType.LIBRARY,
                bom_ref=f"{package}@{release}",
                purl=PackageURL("pypi", name=package, version=release),
                licenses=[licences.make_from_string(licence(package))],
            )
            for package, release in packages.items()
        ]
    )
    bom.metadata.component = root
    # Neither a moment nor a random number, so that nothing but the packages decides the text.
    bom.metadata.timestamp = None
    bom.serial_number = uuid5(NAMESPACE_URL, ",".join(f"{package}@{release}" for package, release in packages.items()))
    bom.register_dependency(root, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)
