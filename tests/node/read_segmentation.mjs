// What dcmjs reads of a Segmentation, as JSON: node read_segmentation.mjs PATH_TO_DCMJS FILE
import { all, data, dataset, first } from "./read_dataset.mjs";

const stored = dataset.PixelData[0] ?? dataset.PixelData;
// dcmjs unpacks a set bit as 255.
const pixels =
    dataset.BitsAllocated === 1 ? data.BitArray.unpack(stored).map((value) => value && 1) : new Uint8Array(stored);

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
