// Going to an organ or a finding by its name, a synonym or its code.

import { fullestSlice } from "./picture.js";

const plain = (text) => text.toLowerCase().trim().replace(/\s+/g, " ");

export function answerWords(form, viewport) {
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        const text = form.elements.words.value;
        if (text.trim()) form.elements.answer.textContent = goTo(plain(text), viewport) ?? `“${text.trim()}” was not looked for in this study`;
    });
}

// What is to be said of it; null where the result has nothing of that name.
function goTo(wanted, viewport) {
    const options = [...document.querySelectorAll("#vocabulary option")];
    const term = options.find((option) => option.dataset.code === wanted || JSON.parse(option.dataset.names).includes(wanted));
    const means = (name, code) => plain(name) === wanted || code === wanted || (term && code === term.dataset.code);
    // Several findings may have one code, such as masses of brain and of soft tissue: one with a place comes first.
    const rows = [...document.querySelectorAll("[data-finding]")].filter((one) => means(one.dataset.finding, one.dataset.code));
    const placed = rows.find((one) => one.querySelector("[data-jump]"));
    if (placed) {
        placed.querySelector("[data-jump]").click();
        return placed.dataset.finding;
    }
    for (const segmentation of viewport.segmentations) {
        const segment = segmentation.segments.find(({ label, code }) => means(label, code));
        const slice = segment && fullestSlice(viewport.stack, segmentation, segment.number);
        if (slice === undefined) continue;
        segmentation.shown.add(segment.number);
        viewport.go(slice, viewport.stack.plane);
        viewport.canvas.focus();
        return segment.label;
    }
    return rows.map(({ dataset }) => `${dataset.finding}: ${dataset.answer}, without a place`).join("; ") || null;
}
