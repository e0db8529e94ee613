// What a browser shows of the work list and of a study's page, as JSON:
// node view_pages.mjs PATH_TO_PUPPETEER BROWSER ORTHANC_URL USER PASSWORD ORTHANC_STUDY_ID FOREIGN_STUDY_ID STUDY_ID_WITH_A_MASS PICTURES
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [library, executablePath, url, username, password, study, foreign, withMass, pictures] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const puppeteer = require(library);
const axe = readFileSync(`${library}/../axe-core/axe.min.js`, "utf8");
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"], defaultViewport: { width: 1300, height: 1100 } });
const page = await browser.newPage();
page.setDefaultTimeout(120_000);
await page.authenticate({ username, password });

const uncaught = [];
const elsewhere = [];
page.on("pageerror", (error) => uncaught.push(String(error)));
page.on("console", (message) => message.type() === "error" && uncaught.push(message.text()));
page.on("request", (request) => { if (!/^(data:|about:)/.test(request.url()) && !request.url().startsWith(url)) elsewhere.push(request.url()); });

const picture = (name) => page.screenshot({ path: `${pictures}/${name}.png` });
const rows = () => page.$$eval("#studies tbody tr", (all) => all.filter((row) => !row.hidden).map((row) => row.innerText.replace(/\s+/g, " ").trim()));
const frame = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

// How many pixels of the canvas are in colour, and the mean grey of the others.
const drawn = () => page.$eval("#picture", (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let [colored, grey] = [0, 0];
    for (let k = 0; k < data.length; k += 4) {
        if (Math.abs(data[k] - data[k + 2]) > 20) colored++;
        else grey += data[k];
    }
    return { colored, grey: grey / (data.length / 4), width: canvas.width, height: canvas.height };
});
// How much the earlier study's picture differs from today's, as a share of how bright that is; both are of one size.
const difference = () => page.evaluate(() => {
    const [today, earlier] = ["#picture", "#earlier canvas"].map((selector) => {
        const canvas = document.querySelector(selector);
        return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    });
    let [apart, bright] = [0, 0];
    for (let k = 0; k < today.length; k += 4) [apart, bright] = [apart + Math.abs(today[k] - earlier[k]), bright + today[k]];
    return apart / bright;
});
const beside = () => page.$eval("#earlier p", (element) => element.textContent);
const status = () => page.$eval("#status", (element) => element.textContent);
// What the page says of a word and which slice it then shows.
const goTo = async (words) => {
    await page.$eval("#words input", (input, words) => { input.value = words; }, words);
    await page.focus("#words input");
    await page.keyboard.press("Enter");
    await frame();
    return [await page.$eval("#words output", (output) => output.textContent), await status()];
};
const press = async (...keys) => { await page.focus("#picture"); for (const key of keys) await page.keyboard.press(key); await frame(); };
const click = async (selector) => { await page.click(selector); await frame(); };

// What axe holds against a page, as [rule, element] of its serious and critical rules.
async function accused() {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    return violations.filter(({ impact }) => impact === "serious" || impact === "critical").flatMap(({ id, nodes }) => nodes.map(({ html }) => [id, html.slice(0, 120)]));
}

const seen = {};
try {
    await page.goto(`${url}/curia/worklist`);
    await page.waitForFunction(() => [...document.querySelectorAll(".patient")].every(({ textContent }) => textContent));
    seen.list = await rows();
    await page.type("#search", "nothing of the kind");
    seen.filtered = await rows();
    await page.$eval("#search", (input) => { input.value = ""; input.dispatchEvent(new Event("input")); });
    await picture("work list");
    seen.accused = { list: await accused() };

    // As for a row that was never in sight: its name is not fetched, the archive is asked for the word.
    const unseen = await browser.newPage();
    await unseen.authenticate({ username, password });
    await unseen.setRequestInterception(true);
    unseen.on("request", (request) => (/\/studies\/[0-9a-f-]+$/.test(request.url()) ? request.abort() : request.continue()));
    await unseen.goto(`${url}/curia/worklist`);
    await unseen.waitForFunction(() => [...document.querySelectorAll(".patient")].every(({ textContent }) => textContent === "not in the archive"));
    await unseen.type("#search", "anary patient");
    await unseen.waitForFunction(() => document.getElementById("count").textContent.startsWith("2 of"));
    seen.unseen = await unseen.$$eval("#studies tbody tr", (all) => all.filter((row) => !row.hidden).map((row) => row.innerText));
    await unseen.close();

    await page.click(`tr[data-study="${withMass}"] td`); // anywhere on its row
    await page.waitForSelector('#picture[data-loaded="all"]');
    await page.waitForSelector("#legend input");
    await frame();
    seen.heat = { opened: await status() };
    const mass = await page.$eval("#evidence select", (choice) => [...choice.options].find(({ textContent }) => textContent === "soft-tissue mass").value);
    await page.select("#evidence select", mass);
    await page.waitForFunction(() => document.querySelector("#evidence output").textContent.startsWith("the brighter"));
    await frame();
    await picture("heat map");
    await click("#legend input");
    // How much redder than blue each pixel of the canvas is; the image below the map is grey.
    Object.assign(seen.heat, { status: await status() }, await page.$eval("#picture", (canvas) => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        const warm = Array.from({ length: width * height }, (_, k) => String.fromCharCode(Math.max(0, data[4 * k] - data[4 * k + 2]))).join("");
        return { width, height, warm: btoa(warm) };
    }));
    seen.heat.word = await goTo("tumour");

    await page.goto(`${url}/curia/studies/${study}`);
    await page.waitForSelector('#picture[data-loaded="all"]');
    await page.waitForSelector("#legend input");
    await page.waitForSelector('#earlier canvas[data-loaded="all"]');
    await frame();
    seen.title = await page.title();
    seen.study = await page.$eval("main", (element) => element.innerText);
    seen.first = { status: await status(), ...(await drawn()) };
    await picture("study");
    await press("o");
    seen.withoutOverlay = await drawn();
    seen.earlier = { first: { status: await beside(), difference: await difference() } };
    await press("o", "f");
    seen.outlines = await drawn();
    await press("f", "ArrowDown", "ArrowDown");
    seen.scrolled = await status();
    await press("o");
    seen.earlier.scrolled = { status: await beside(), difference: await difference() };
    await press("o");
    await click("#windows button:nth-child(2)");
    seen.lung = { status: await status(), ...(await drawn()) };
    await press("c", "+", "+");
    seen.earlier.coronal = { status: await beside(), difference: await difference() };
    await press("r");
    seen.coronal = { status: await status(), ...(await drawn()) };
    await picture("coronal");
    await press("a", "Home");
    const box = await page.$eval("#picture", (canvas) => canvas.getBoundingClientRect().toJSON());
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    const started = Date.now();
    for (let k = 0; k < 20; k++) { await page.mouse.wheel({ deltaY: 100 }); await frame(); }
    seen.wheel = { status: await status(), millisecondsForEachSlice: (Date.now() - started) / 20 };
    await press("r", ...Array(10).fill("ArrowUp"));
    const plain = await drawn();
    const answers = {};
    page.on("response", async (answer) => {
        const route = answer.url().split("/").at(-1);
        if (["similarity", "cut"].includes(route)) answers[route] = { asked: JSON.parse(answer.request().postData()), said: await answer.json() };
    });
    await click('#prompt [data-label="1"]');
    const shown = await page.$eval("#picture", (canvas) => canvas.getBoundingClientRect().toJSON());
    await page.mouse.click(shown.x + 0.5 * shown.width, shown.y + 0.5 * shown.height);
    await page.waitForFunction(() => document.querySelector("#prompt [data-part=says]").textContent.startsWith("Region"));
    await frame();
    seen.prompt = {
        ...answers, says: await page.$eval("#prompt [data-part=says]", (element) => element.textContent),
        milliseconds: await page.$eval("#prompt", (element) => Number(element.dataset.milliseconds)), plain, drawn: await drawn(),
    };
    await picture("similarity");
    await click("#prompt [data-part=map]");
    seen.prompt.withoutMap = await drawn();
    await click("#prompt [data-part=map]");
    await page.type("#prompt form input", "Hepatic");
    await page.click("#prompt form button");
    await page.waitForSelector('#kept li[data-state="stored"]');
    await page.waitForFunction(() => document.querySelector("#legend").innerText.includes("Hepatic"));
    seen.kept = await page.$eval("#kept li", (entry) => entry.innerText);
    await frame();
    await picture("kept");
    await click("#legend label:last-child input");
    seen.prompt.cleared = await drawn();
    seen.words = { skeleton: await goTo(" Skeleton "), code: await goTo("39607008"), spleen: await goTo("spleen"), mass: await goTo("tumour") };
    const told = page.waitForResponse((answer) => answer.url().endsWith("/evidence") && answer.status() === 200);
    const first = await page.$eval("#evidence select", (choice) => [...choice.options].find(({ value }) => value).value);
    await page.select("#evidence select", first);
    seen.evidence = await (await told).json();
    await page.waitForFunction(() => document.querySelector("#evidence output").textContent);
    seen.evidence.answer = await page.$eval("#evidence output", (output) => output.textContent);
    await page.select("#evidence select", "");
    await frame();
    // A place inside a segment, and how much of the region's outline is seen with the segments and without them.
    await goTo("lung");
    const inside = await page.$eval("#picture", (canvas) => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        const isColored = (k) => Math.abs(data[4 * k] - data[4 * k + 2]) > 20;
        const all = (k, reach) => [-reach, reach, -reach * width, reach * width].every((step) => isColored(k + step));
        const k = Array.from({ length: width * height }, (_, index) => index).find((index) => all(index, 8) && all(index, 16));
        const box = canvas.getBoundingClientRect();
        return { x: box.x + ((k % width) + 0.5) / devicePixelRatio, y: box.y + (Math.floor(k / width) + 0.5) / devicePixelRatio };
    });
    await page.mouse.click(inside.x, inside.y);
    await page.waitForFunction(() => document.querySelector("#prompt [data-part=says]").textContent.startsWith("Region"));
    await frame();
    await picture("region in a segment");
    const outline = () => page.$eval("#picture", (canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let k = 0; k < data.length; k += 4) count += data[k] === 120 && data[k + 1] === 220 && data[k + 2] === 255;
        return count;
    });
    const toggleSegments = () => page.$$eval("#legend input", (boxes) => boxes.forEach((box) => box.click()));
    seen.outline = { overSegments: await outline() };
    await toggleSegments();
    await frame();
    seen.outline.alone = await outline();
    await toggleSegments();
    seen.earlierMap = await page.$eval("#earlier canvas", (canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let k = 0; k < data.length; k += 4) count += data[k] - data[k + 2] > 20;
        return count;
    });
    await click("#prompt [data-part=clear]");
    await page.select("#judge select[name=verdict]", "rejected");
    await page.type("#judge input[name=comment]", "<i>not there</i>");
    await page.click("#judge button");
    await page.waitForSelector(".judgements li");
    await page.click("#versions button");
    await page.waitForSelector('#versions li[data-state="stored"]');
    seen.version = await page.$eval("#versions li", (entry) => entry.innerText);
    seen.judged = await page.$eval(".judgements", (list) => list.innerText);
    const jump = await page.$("[data-jump]");
    if (jump) { await jump.click(); await frame(); seen.jumped = await status(); await picture("finding"); }
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
    await picture("study dark");
    seen.accused.dark = await accused();
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
    seen.accused.light = await accused();
    await page.setViewport({ width: 390, height: 844 });
    await frame();
    seen.overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    await picture("study on a phone");
    await page.goto(`${url}/curia/studies/${foreign}`);
    await page.waitForFunction(() => document.getElementById("patient").textContent);
    seen.foreign = await page.evaluate(() => ({
        patient: document.getElementById("patient").textContent, description: document.getElementById("description").textContent,
        hit: String(window.hit), overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth, title: document.title,
    }));
    await page.goto(`${url}/curia/worklist`);
    await page.waitForFunction(() => [...document.querySelectorAll(".patient")].every(({ textContent }) => textContent));
    seen.foreign.listed = (await rows()).filter((row) => row.includes("window.hit"));
    seen.foreign.hitInList = await page.evaluate(() => String(window.hit));
    await picture("work list on a phone");
    const uncaughtSoFar = [...uncaught];
    await page.goto(`${url}/curia/studies/${"0".repeat(8)}${"-00000000".repeat(4)}`);
    seen.unknown = await page.$eval("main", (element) => element.innerText);
    process.stdout.write(JSON.stringify({ ...seen, uncaught: uncaughtSoFar, elsewhere }));
} catch (error) {
    await picture("failure");
    process.stderr.write(`${JSON.stringify(seen)}\n${uncaught.join("\n")}\n`);
    throw error;
} finally {
    await browser.close();
}
