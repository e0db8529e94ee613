// The work list: search, filter, sort, names from the archive, and rows that renew themselves.

import { Archive, nameAndId } from "./study_page/archive.js";

const RENEW_MS = 5000;
const WHOLE_EVERY = 60; // of so many renewals one asks for all rows, the others for those that moved
const TYPING_MS = 300; // a pause after which what was typed is asked of the archive
const DRAWN = 100; // rows at once, and so many more each time that their end comes into sight
const table = document.getElementById("studies");
const archive = new Archive(table.dataset.root);
const [search, state, count, more] = ["search", "state", "count", "more"].map((id) => document.getElementById(id));
const headings = new Map();
const [FINDINGS, UPDATED] = [1, 4]; // columns
let order = { column: UPDATED, descending: true };
let drawn = DRAWN;
const { whole } = table.dataset; // how many to ask for; empty where the page has all

const rows = () => [...table.tBodies[0].rows];
const collator = new Intl.Collator();
const texts = new WeakMap(); // what a row is searched by

function textOf(row) {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
}

function filter() {
    const words = searched();
    let [found, all] = [0, 0];
    for (const row of table.tBodies[0].rows) {
        const isFound = (!state.value || row.dataset.state === state.value) && words.every((word) => textOf(row).includes(word));
        [found, all] = [found + isFound, all + 1];
        const isHidden = !isFound || found > drawn;
        if (row.hidden !== isHidden) row.hidden = isHidden;
    }
    count.textContent = `${found} of ${all} studies${table.dataset.whole && ", fetching the others"}`;
    more.hidden = found <= drawn;
}

function filterAnew() {
    drawn = DRAWN;
    filter();
}

const searched = () => search.value.toLowerCase().split(/\s+/).filter(Boolean);

// Rows out of sight have no names yet: the archive says whose name or number has the words.
async function namePatients() {
    const byStudy = new Map(rows().map((row) => [row.dataset.study, row]));
    for (const word of searched().filter(({ length }) => length > 1)) {
        for (const [study, heading] of await archive.findPatients(word).catch(() => [])) {
            if (!byStudy.has(study)) continue;
            headings.set(study, heading);
            name(byStudy.get(study));
        }
    }
}

// Once for all names that came since the last drawing.
function filterSoon() {
    filterSoon.pending ??= requestAnimationFrame(() => { filterSoon.pending = null; filter(); });
}

function sort() {
    const isNumber = table.tHead.rows[0].cells[order.column].firstElementChild.dataset.sort === "number";
    const before = rows();
    const keyed = before.map((row) => {
        const key = row.cells[order.column].dataset.key ?? row.cells[order.column].textContent.trim();
        return { row, key: isNumber ? Number(key) : key };
    });
    const compare = isNumber ? (a, b) => a.key - b.key : (a, b) => collator.compare(a.key, b.key);
    keyed.sort((a, b) => (order.descending ? compare(b, a) : compare(a, b)));
    if (keyed.some(({ row }, k) => row !== before[k])) table.tBodies[0].append(...keyed.map(({ row }) => row));
    for (const [index, cell] of [...table.tHead.rows[0].cells].entries()) {
        cell.setAttribute("aria-sort", index !== order.column ? "none" : order.descending ? "descending" : "ascending");
    }
}

new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    drawn += DRAWN;
    filter();
}, { rootMargin: "50%" }).observe(more);

// Names are asked of the archive for rows that come into sight, once each; they are shown here and kept nowhere.
const inSight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) name(target);
});

async function name(row) {
    inSight.unobserve(row);
    const study = row.dataset.study;
    if (!headings.has(study)) headings.set(study, archive.heading(study).catch(() => null));
    const heading = await headings.get(study);
    row.querySelector(".patient").textContent = heading ? nameAndId(heading.patient, heading.id) : "not in the archive";
    row.querySelector(".description").textContent = heading ? [heading.description, heading.date].filter(Boolean).join(" · ") : "";
    texts.delete(row);
    filterSoon();
}

function arrange() {
    for (const row of rows()) inSight.observe(row);
    sort();
    filter();
}

let renewals = 0;

// The page comes with the studies that moved last; the first renewal brings the others.
async function renew() {
    const asked = new URL(location.href);
    if (renewals++ % WHOLE_EVERY) asked.searchParams.set("since", table.dataset.now);
    else if (whole) asked.searchParams.set("limit", whole);
    const answer = await fetch(asked, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer?.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        table.dataset.now = page.getElementById("studies").dataset.now;
        table.dataset.whole = "";
        const [alarms, now] = [document, page].map((one) => one.getElementById("alarms"));
        if (!alarms.isEqualNode(now)) alarms.replaceWith(now); // equal ones would be read out again
        if (take(page.querySelectorAll("#studies tbody tr"))) arrange();
    } else if (table.dataset.whole) renewals = 0;
    setTimeout(renew, RENEW_MS);
}

// Puts rows that changed, and those that are new, into the table; whether there were any.
function take(fresh) {
    const known = new Map(fresh.length ? rows().map((row) => [row.dataset.study, row]) : []);
    let changed = false;
    for (const row of fresh) {
        const old = known.get(row.dataset.study);
        if (old?.cells[0].textContent === row.cells[0].textContent && old.cells[UPDATED].dataset.key === row.cells[UPDATED].dataset.key) continue;
        const own = document.importNode(row, true);
        old ? old.replaceWith(own) : table.tBodies[0].prepend(own);
        changed = true;
    }
    return changed;
}

for (const [column, cell] of [...table.tHead.rows[0].cells].entries()) {
    cell.querySelector("button")?.addEventListener("click", () => {
        order = { column, descending: order.column === column ? !order.descending : column === FINDINGS || column === UPDATED };
        sort();
        filterAnew();
    });
}
// Anywhere on a row opens its study, as its link does; text that is being marked stays.
table.tBodies[0].addEventListener("click", ({ target }) => {
    if (!target.closest("a") && getSelection().isCollapsed) target.closest("tr").querySelector("a").click();
});
document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", () => {
    filterAnew();
    clearTimeout(namePatients.soon);
    namePatients.soon = setTimeout(namePatients, TYPING_MS);
});
state.addEventListener("change", filterAnew);
arrange();
setTimeout(renew, whole ? 0 : RENEW_MS);
