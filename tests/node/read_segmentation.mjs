// What dcmjs reads of a Segmentation, as JSON: node read_segmentation.mjs PATH_TO_DCMJS FILE
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [library, path] = process.argv.slice(2);
const { data, log } = createRequire(import.meta.url)(library);
log.setLevel("error");

const file = readFileSync(path);
const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
const dataset = data.DicomMetaDictionary.naturalizeDataset(data.DicomMessage.readFile(buffer).dict);
const stored = dataset.PixelData[0] ?? dataset.PixelData;
// dcmjs unpacks a set bit as 255.
const pixels =
    dataset.BitsAllocated === 1 ? data.BitArray.unpack(stored).map((value) => value && 1) : new Uint8Array(stored);

const first = (sequence) => (Array.isArray(sequence) ? sequence[0] : sequence);
const all = (sequence) => (Array.isArray(sequence) ? sequence : [sequence]);
const shared = first(dataset.SharedFunctionalGroupsSequence);
const size = dataset.Rows * dataset.Columns;

const frames = all(dataset.PerFrameFunctionalGroupsSequence).map((groups, number) => {
    const identification = first(groups.SegmentIdentificationSequence ?? shared.SegmentIdentificationSequence);
    const image = first(first(groups.DerivationImageSequence).SourceImageSequence);
    return {
        segment: identification?.ReferencedSegmentNumber ?? null,
        position: first(groups.PlanePositionSequence).ImagePositionPatient,
        instance: image.ReferencedSOPInstanceUID,
        pixels: Array.from(pixels.subarray(number * size, (number + 1) * size), Number),
    };
});
const segments = all(dataset.SegmentSequence).map((segment) => ({
    number: segment.SegmentNumber,
    label: segment.SegmentLabel,
    type: first(segment.SegmentedPropertyTypeCodeSequence).CodeValue,
}));
process.stdout.write(JSON.stringify({ type: dataset.SegmentationType, segments, frames }));
