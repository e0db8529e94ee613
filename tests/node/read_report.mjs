// What dcmjs reads of the measurement groups of a TID 1500 report, as JSON: node read_report.mjs PATH_TO_DCMJS FILE
import { all, dataset, first } from "./read_dataset.mjs";

const children = (item) => all(item.ContentSequence);
const name = (item) => first(item.ConceptNameCodeSequence)?.CodeValue;
const named = (item, code) => children(item).filter((child) => name(child) === code);
const code = (item) => (item ? first(item.ConceptCodeSequence).CodeValue : null);

function region(item) {
    const image = first(first(item.ContentSequence).ReferencedSOPSequence);
    return { type: item.GraphicType, points: item.GraphicData, instance: image.ReferencedSOPInstanceUID };
}

function measurement(item) {
    const value = first(item.MeasuredValueSequence);
    const unit = first(value.MeasurementUnitsCodeSequence).CodeValue;
    return [name(item), { value: value.NumericValue, unit }];
}

const [IMAGING_MEASUREMENTS, GROUP, FINDING, TRACKING_UID] = ["126010", "125007", "121071", "112040"];
const groups = named(dataset, IMAGING_MEASUREMENTS).flatMap((container) => named(container, GROUP));
const read = groups.map((group) => ({
    tracking: named(group, TRACKING_UID)[0]?.UID,
    finding: code(named(group, FINDING)[0]),
    measurements: Object.fromEntries(children(group).filter((item) => item.ValueType === "NUM").map(measurement)),
    regions: children(group).filter((item) => item.ValueType === "SCOORD").map(region),
}));
process.stdout.write(JSON.stringify(read));
