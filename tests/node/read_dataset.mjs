// A DICOM file as dcmjs reads it, for the scripts beside this one, which are called with PATH_TO_DCMJS FILE.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [library, path] = process.argv.slice(2);
const { data, log } = createRequire(import.meta.url)(library);
export { data };
log.setLevel("error");

const file = readFileSync(path);
const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
export const dataset = data.DicomMetaDictionary.naturalizeDataset(data.DicomMessage.readFile(buffer).dict);

// The items of a sequence, also where dcmjs hands out a single one by itself, and none of a missing one.
export const all = (sequence) => (Array.isArray(sequence) ? sequence : sequence ? [sequence] : []);
export const first = (sequence) => all(sequence)[0];
