// The work list: search, filter, sort, names from the archive, and rows that renew themselves.

import { Archive } from "./study_page/archive.js";

const RENEW_MS = 5000;
const table = document.getElementById("studies");
const archive = new Archive(table.dataset.root);
const [search, state, count] = ["search", "state", "count"].map((id) => document.getElementById(id));
const headings = new Map();
let order = null; // {column, descending}

const rows = () => [...table.tBodies[0].rows];

function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows()) {
        const text = row.textContent.toLowerCase();
        row.hidden = Boolean((state.value && row.dataset.state !== state.value) || !words.every((word) => text.includes(word)));
        shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows().length} studies`;
}

function sort() {
    if (!order) return;
    const key = (row) => row.cells[order.column].dataset.key ?? row.cells[order.column].textContent.trim();
    const isNumber = table.tHead.rows[0].cells[order.column].firstElementChild.dataset.sort === "number";
    const compare = (a, b) => (isNumber ? Number(key(a)) - Number(key(b)) : key(a).localeCompare(key(b)));
    table.tBodies[0].append(...rows().sort((a, b) => (order.descending ? compare(b, a) : compare(a, b))));
    for (const [index, cell] of [...table.tHead.rows[0].cells].entries()) {
        cell.setAttribute("aria-sort", index !== order.column ? "none" : order.descending ? "descending" : "ascending");
    }
}

// Names are asked of the archive for rows that come into sight, once each; they are shown here and kept nowhere.
const inSight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) name(target);
});

async function name(row) {
    inSight.unobserve(row);
    const study = row.dataset.study;
    if (!headings.has(study)) headings.set(study, archive.heading(study).catch(() => null));
    const heading = await headings.get(study);
    row.querySelector(".patient").textContent = heading ? heading.patient.replaceAll("^", " ").trim() || heading.id : "not in the archive";
    row.querySelector(".description").textContent = heading ? [heading.description, heading.date].filter(Boolean).join(" · ") : "";
    filter();
}

function arrange() {
    for (const row of rows()) inSight.observe(row);
    sort();
    filter();
}

async function renew() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer?.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const known = new Map(rows().map((row) => [row.dataset.study, row]));
        for (const row of page.querySelectorAll("#studies tbody tr")) {
            const old = known.get(row.dataset.study);
            if (old?.cells[0].textContent === row.cells[0].textContent && old.cells[4].dataset.key === row.cells[4].dataset.key) continue;
            const fresh = document.importNode(row, true);
            old ? old.replaceWith(fresh) : table.tBodies[0].prepend(fresh);
        }
        arrange();
    }
    setTimeout(renew, RENEW_MS);
}

for (const [column, cell] of [...table.tHead.rows[0].cells].entries()) {
    cell.querySelector("button")?.addEventListener("click", () => {
        order = { column, descending: order?.column === column ? !order.descending : column === 1 || column === 4 };
        sort();
    });
}
document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", filter);
state.addEventListener("change", filter);
arrange();
setTimeout(renew, RENEW_MS);
