// What the page reads of the archive: Orthanc's own REST routes at the page's origin, as the user who is logged in.

const HEADER_END = new TextEncoder().encode("ENDHDR\n");

const MOST_FOUND = 200;
const numbers = (text) => (text ?? "").split("\\").map(Number);
const cross = ([a, b, c], [d, e, f]) => [b * f - c * e, c * d - a * f, a * e - b * d];
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

async function get(path, headers = {}, body = undefined) {
    const answer = await fetch(path, { headers, body, method: body ? "POST" : "GET" });
    if (!answer.ok) throw new Error(`the archive answered ${answer.status} to ${path.split("?")[0]}`);
    return answer;
}

export class Archive {
    // root: leads from the page to Orthanc's own root
    constructor(root) {
        this.root = root;
    }

    // question: sent by POST
    async json(path, question = undefined) {
        return (await get(this.root + path, {}, question && JSON.stringify(question))).json();
    }

    async bytes(path, headers) {
        return new Uint8Array(await (await get(this.root + path, headers)).arrayBuffer());
    }

    // {patient, description, date} of a study, for people; nothing of it leaves the page
    async heading(study) {
        return headingOf(await this.json(`studies/${study}`));
    }

    // Headings of the studies whose patient has a word in name or number, by their ids.
    async findPatients(word) {
        const find = (tag) => this.json("tools/find", { Level: "Study", Query: { [tag]: `*${word}*` }, Expand: true, Limit: MOST_FOUND });
        const found = await Promise.all(["PatientName", "PatientID"].map(find));
        return new Map(found.flat().map((study) => [study.ID, headingOf(study)]));
    }

    // Orthanc's id of a series of the study, by its UID
    async seriesId(study, uid) {
        const all = await this.json(`studies/${study}/series`);
        const found = all.find((series) => series.MainDicomTags.SeriesInstanceUID === uid);
        if (!found) throw new Error("the series is no longer in the archive");
        return found.ID;
    }

    // The matrix that takes the moving images of a Spatial Registration into the others' frame: four rows, LPS mm.
    async matrix(instance) {
        const { RegistrationSequence: items } = await this.json(`instances/${instance}/simplified-tags`);
        const [step] = items.at(-1).MatrixRegistrationSequence[0].MatrixSequence;
        const values = numbers(step.FrameOfReferenceTransformationMatrix);
        return [0, 4, 8, 12].map((start) => values.slice(start, start + 4));
    }

    // The slices of a series of single-frame images, ascending along the cross product of row and column direction, as
    // the pipeline orders them: {instance, uid, position, slope, intercept}, and what all share.
    async stack(series) {
        const tags = await this.json(`series/${series}/instances-tags?simplify`);
        const entries = Object.entries(tags).filter(([, tag]) => tag.Rows && tag.ImagePositionPatient && tag.ImageOrientationPatient);
        if (!entries.length) throw new Error("this page draws series of single-frame images with a position only");
        const first = entries[0][1];
        const direction = numbers(first.ImageOrientationPatient);
        const [along, down] = [direction.slice(0, 3), direction.slice(3)];
        const normal = cross(along, down);
        const slices = entries
            .filter(([, tag]) => tag.Rows === first.Rows && tag.Columns === first.Columns)
            .map(([instance, tag]) => ({
                instance,
                uid: tag.SOPInstanceUID,
                position: numbers(tag.ImagePositionPatient),
                slope: Number(tag.RescaleSlope ?? 1),
                intercept: Number(tag.RescaleIntercept ?? 0),
                isSigned: tag.PixelRepresentation === "1",
            }))
            .sort((one, other) => dot(one.position, normal) - dot(other.position, normal));
        const [rowSpacing, columnSpacing] = numbers(first.PixelSpacing ?? "1\\1");
        const span = dot(slices.at(-1).position, normal) - dot(slices[0].position, normal);
        const sliceSpacing = slices.length > 1 ? span / (slices.length - 1) : Number(first.SliceThickness || 1);
        return {
            slices, along, down, normal, rowSpacing, columnSpacing, sliceSpacing,
            rows: Number(first.Rows), columns: Number(first.Columns), modality: first.Modality,
        };
    }

    // The stored values of a slice as they are, two bytes each: (rows * columns).
    async values({ instance, isSigned }) {
        const kind = isSigned ? "image-int16" : "image-uint16";
        const file = await this.bytes(`instances/${instance}/${kind}`, { Accept: "image/x-portable-arbitrarymap" });
        const start = indexAfter(file, HEADER_END);
        const view = new DataView(file.buffer, file.byteOffset + start);
        const values = new (isSigned ? Int16Array : Uint16Array)((file.length - start) >> 1);
        for (let k = 0; k < values.length; k++) values[k] = isSigned ? view.getInt16(2 * k) : view.getUint16(2 * k);
        return values;
    }

    // A binary SEG: its segments, its packed pixels, and for a segment and a source image the first bit of their frame.
    async segmentation(instance) {
        const [tags, pixels] = await Promise.all([
            this.json(`instances/${instance}/simplified-tags`),
            this.bytes(`instances/${instance}/content/7fe0-0010/0`),
        ]);
        const frameLength = Number(tags.Rows) * Number(tags.Columns);
        const frames = new Map();
        // What all frames have in common, such as the one segment there is, may stand in the shared groups.
        const shared = tags.SharedFunctionalGroupsSequence?.[0] ?? {};
        tags.PerFrameFunctionalGroupsSequence.forEach((own, number) => {
            const groups = { ...shared, ...own };
            const segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber;
            const source = groups.DerivationImageSequence?.[0]?.SourceImageSequence?.[0]?.ReferencedSOPInstanceUID;
            frames.set(`${segment} ${source}`, number * frameLength);
        });
        const segments = tags.SegmentSequence.map((segment) => ({
            number: segment.SegmentNumber,
            label: segment.SegmentLabel,
            code: segment.SegmentedPropertyTypeCodeSequence?.[0]?.CodeValue,
            color: rgbOfDicomLab(numbers(segment.RecommendedDisplayCIELabValue ?? "45874\\30326\\23901")),
        }));
        return { segments, pixels, shown: new Set(segments.map(({ number }) => number)), frameStart: (segment, uid) => frames.get(`${segment} ${uid}`) };
    }
}

function indexAfter(bytes, mark) {
    for (let start = 0; start + mark.length <= bytes.length; start++) {
        if (mark.every((byte, k) => bytes[start + k] === byte)) return start + mark.length;
    }
    throw new Error("the archive's image has no header that this page knows");
}

// PS3.3 C.10.7.1.1: L* over 0..65535, a* and b* from -128 to 127 over 0..65535; D50 to sRGB.
export function rgbOfDicomLab([l, a, b]) {
    const [L, A, B] = [(l / 65535) * 100, (a / 65535) * 255 - 128, (b / 65535) * 255 - 128];
    const fy = (L + 16) / 116;
    const back = (t) => (t > 6 / 29 ? t ** 3 : 3 * (6 / 29) ** 2 * (t - 4 / 29));
    const [x, y, z] = [0.9642 * back(fy + A / 500), back(fy), 0.8251 * back(fy - B / 200)];
    const linear = [
        3.1339 * x - 1.6169 * y - 0.4906 * z,
        -0.9788 * x + 1.9161 * y + 0.0335 * z,
        0.0719 * x - 0.229 * y + 1.4052 * z,
    ];
    const gamma = (v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
    return linear.map((v) => Math.round(255 * Math.min(1, Math.max(0, gamma(v)))));
}

function headingOf({ MainDicomTags: tags, PatientMainDicomTags: patient }) {
    return { patient: patient.PatientName ?? "", id: patient.PatientID ?? "", description: tags.StudyDescription ?? "", date: isoDate(tags.StudyDate ?? "") };
}

// A person's name and number, once where they are the same.
export function nameAndId(name, id) {
    return [...new Set([name.replaceAll("^", " ").trim(), id])].filter(Boolean).join(" · ");
}

// DICOM's 20240131 as 2024-01-31; anything else as it is.
function isoDate(text) {
    return text.replace(/^(\d{4})(\d{2})(\d{2})$/, "$1-$2-$3");
}
