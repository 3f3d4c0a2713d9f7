// Walks through the dashboard in a real browser. Told by `tests/it/admin/browser.rs` where it is and
// what happened there; every page is looked at in light, dark and on a phone, and photographed.
// Exits with 1 and a line for each thing that is wrong.
import http from "node:http";
import puppeteer from "puppeteer-core";

const world = JSON.parse(process.argv[2]);
const wrong = [];
const check = (good, what) => {
  if (!good) wrong.push(what);
};

const browser = await puppeteer.launch({
  executablePath: world.chromium,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    // A name of somebody else's that leads here: DNS rebinding.
    "--host-resolver-rules=MAP evil.test 127.0.0.1",
  ],
});

/// What is plain text names no icon, so that the browser looks for one by itself.
const complaint = (message) => {
  const icon = message.location().url?.endsWith("/favicon.ico");
  check(icon || message.type() !== "error", `console: ${message.text()} ${message.location().url}`);
};

/// A tab that notices what must not happen.
const open = async (own = world.base) => {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 860 });
  page.on("request", (request) => {
    const url = request.url();
    check(url.startsWith(own) || url.startsWith("data:"), `a request to elsewhere: ${url}`);
  });
  page.on("console", complaint);
  page.on("pageerror", (error) => check(false, `an error in the page: ${error}`));
  page.on("dialog", (dialog) => {
    check(false, `a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return page;
};

const page = await open();
const go = async (path) => {
  const answer = await page.goto(world.base + path, { waitUntil: "load" });
  await page.waitForFunction(() => document.readyState === "complete");
  return answer;
};
const text = (selector = "main") => page.$eval(selector, (e) => e.innerText);
const has = async (what, selector) => {
  const found = await text(selector);
  check(found.includes(what), `${page.url()} does not say ${JSON.stringify(what)}: ${found.slice(0, 600)}`);
};
const shoot = async (name, options = {}) => {
  if (world.shots) await page.screenshot({ path: `${world.shots}/${name}.png`, fullPage: true, ...options });
};
const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
const led = async (act) => Promise.all([page.waitForNavigation({ waitUntil: "load" }), act()]);

/// What holds of every page, whatever it shows.
const sound = async (name) => {
  const found = await page.evaluate(() => {
    const wrong = [];
    if (window.pwned) wrong.push("a script of a stranger ran");
    if (document.querySelectorAll("main").length !== 1) wrong.push("not one main");
    if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
    if (document.querySelector("main script, main iframe, main img, [style], [onerror], [onclick]")) wrong.push("a foreign element");
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    if (new Set(ids).size !== ids.length) wrong.push("an id twice");
    for (const e of document.querySelectorAll("input:not([type=hidden]):not([hidden]), select")) {
      if (!e.labels.length) wrong.push(`no label: ${e.name}`);
    }
    for (const e of document.querySelectorAll("a, button:not([hidden])")) {
      if (!e.innerText.trim() && !e.getAttribute("aria-label")) wrong.push(`no name: ${e.outerHTML}`);
    }
    for (const figure of document.querySelector("main").innerText.match(/(?<!\S)\$?-0(?!\S)|NaN/g) || []) wrong.push(`no figure: ${figure}`);
    for (const e of document.querySelectorAll("th")) if (!e.scope) wrong.push(`no scope: ${e.innerText}`);
    return wrong;
  });
  for (const what of found) check(false, `${name}: ${what}`);
};

/// Text that cannot be told from its ground (WCAG 2.2, 1.4.3).
const contrast = async (name) => {
  const pale = await page.evaluate(() => {
    const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => {
      const f = (c) => ((c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
      return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
    };
    const ground = (e) => {
      for (; e; e = e.parentElement) {
        const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length === 3 || c[3] > 0.99) return c;
      }
      return [255, 255, 255];
    };
    const pale = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const e = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || e.closest("svg, [hidden], dialog:not([open]), .hidden, .skip, option")) continue;
      const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) pale.add(`${ratio.toFixed(2)} ${e.tagName}.${e.className}: ${walker.currentNode.data.trim().slice(0, 30)}`);
    }
    return [...pale].slice(0, 5);
  });
  for (const what of pale) check(false, `${name}: too pale: ${what}`);
};

/// Looks at a page in light and dark and on a phone.
const look = async (name, path) => {
  if (path) await go(path);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await sound(name);
    await contrast(`${name} ${scheme}`);
    await shoot(`${name}-${scheme}`);
  }
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  await page.setViewport({ width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
  await page.reload({ waitUntil: "load" });
  // Not `innerWidth`: a page that is too wide is shown smaller.
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - 390);
  check(wide <= 0, `${name}: ${wide} pixels too wide for a phone`);
  const hidden = await page.evaluate(() => [...document.querySelectorAll("nav a")].filter((a) => a.getBoundingClientRect().right > 390).map((a) => a.innerText));
  check(!hidden.length, `${name}: outside of a phone: ${hidden}`);
  await shoot(`${name}-phone`);
  await page.setViewport({ width: 1280, height: 860 });
  await page.reload({ waitUntil: "load" });
};

try {
  // Signing in: with a wrong key, then the right one, back to where one wanted to go.
  await go("/admin/audit?q=nothing");
  check(page.url().includes("/admin/sign-in"), `not led to signing in: ${page.url()}`);
  await look("sign-in");
  await go("/admin/audit?q=nothing");
  await page.type("input[name=key]", "wrong");
  // A status that is an error is one on the console, too.
  page.removeAllListeners("console");
  await led(() => press("Enter"));
  await has("not an admin key");
  await page.type("input[name=key]", world.key);
  await led(() => press("Enter"));
  check(page.url() === `${world.base}/admin/audit?q=nothing`, `led to ${page.url()}`);
  page.on("console", complaint);
  const cookies = await browser.cookies();
  const session = cookies.find((cookie) => cookie.name === "strait_session");
  check(session?.httpOnly && session.sameSite === "Strict" && session.path === "/admin", `the cookie: ${JSON.stringify(session)}`);
  check((await page.evaluate(() => document.cookie)) === "", "a script can read the cookie");
  await has("Nothing fits");

  // Now: a stream that is under way, its row refreshed without loading the page.
  await look("now", "/admin");
  await has("streaming");
  await has(world.live);
  await page.evaluate(() => { window.same = true; });
  const more = await fetch(`${world.base}/v1/responses`, {
    method: "POST",
    headers: { authorization: `Bearer ${world.client}`, "content-type": "application/json" },
    body: JSON.stringify({ model: world.second, stream: true, input: "stay" }),
  });
  await page.waitForFunction((model) => document.querySelector("main").innerText.includes(model), { timeout: 20000 }, world.second);
  check(await page.evaluate(() => window.same), "the page was loaded again");

  await more.body.cancel();

  // The audit: filters, search, pages, and rows by keyboard.
  await look("audit", "/admin/audit");
  const rows = () => page.$$eval("tr[data-row]", (all) => all.length);
  check((await rows()) === 50, `${await rows()} rows`);
  await led(() => page.click("a[rel=next]"));
  check((await rows()) > 0, "no older rows");
  await led(() => page.click("a[rel=first]"));
  await page.select("select[name=class]", "failed");
  await led(() => page.click("form.filters button.main"));
  check((await rows()) === world.failed, `${await rows()} failed rows`);
  await go("/admin/audit");
  await press("Slash");
  await page.keyboard.type(world.word);
  await led(() => press("Enter"));
  check((await rows()) === 1, `${await rows()} rows with ${world.word}`);
  await look("search");
  await press("j");
  check(await page.$eval("tr.chosen a", (a) => a === document.activeElement), "j did not choose a row");
  await led(() => press("Enter"));

  // One exchange: what was said, a patch, hostile words, both wires, the timeline.
  check(/\/admin\/audit\/\d+$/.test(page.url()), `Enter led to ${page.url()}`);
  const exchange = new URL(page.url()).pathname;
  await look("exchange");
  for (const what of world.said) await has(what);
  check((await page.$$(".diff .add")).length >= 1 && (await page.$$(".diff .del")).length >= 1, "the patch has no colours");
  check((await page.$$("figure svg rect")).length >= 3, "no timeline");
  await led(() => page.click(".tabs a:not([aria-current])"));
  await look("wire");
  check((await page.$$(".pair > section")).length === 4, "not four texts");
  for (const what of world.wires) await has(what);
  await go(`${exchange}/received`);
  check((await page.evaluate(() => document.contentType)) === "text/plain", "the raw text is not plain");
  await go(exchange);
  await led(() => press("u"));
  check(page.url() === `${world.base}/admin/audit`, `u led to ${page.url()}`);

  // The other pages, by keyboard.
  for (const [key, path, says] of [
    ["u", "/admin/usage", "Cost"],
    ["p", "/admin/providers", "mock"],
    ["m", "/admin/models", "any other name"],
    ["k", "/admin/keys", "fleet"],
    ["n", "/admin", "Under way"],
  ]) {
    await press("g");
    await led(() => press(key));
    check(new URL(page.url()).pathname === path, `g ${key} led to ${page.url()}`);
    await has(says);
    if (path !== "/admin") await look(path.split("/").pop());
  }
  await go("/admin/keys");
  for (const what of ["strait.toml", "contractor", "rotated", "expired 2020-01-01", "of 120", "of $0.2500"]) await has(what);
  check((await (await go("/admin/usage?by=key")).status()) === 200, "no usage by key");
  await has("fleet");
  check((await page.$$("figure div svg rect")).length > 4, "no plots");
  await press("?");
  check(await page.$eval("#keys", (dialog) => dialog.open), "? shows nothing");
  await shoot("keyboard", { fullPage: false });
  await press("Escape");

  // Everything works without the script.
  await page.setJavaScriptEnabled(false);
  await go("/admin/audit");
  check((await rows()) === 50, "no rows without scripts");
  await page.setJavaScriptEnabled(true);

  // A page of somebody else's, in the same browser: on this machine, and under a name that leads here.
  const host = new URL(world.base).host;
  const attack = `<!doctype html><title>evil</title><body><iframe src="${world.base}/admin"></iframe>
    <img src="${world.base}/admin/api/v1/live"><form id=f method=post target=t action="${world.base}/admin/sign-out"></form>
    <iframe name=t></iframe></body>`;
  const evil = http.createServer((_, answer) => answer.setHeader("content-type", "text/html").end(attack));
  await new Promise((ready) => evil.listen(0, "127.0.0.1", ready));
  // The first is of the same site, so that the session's cookie goes with what it sends.
  for (const name of ["127.0.0.1", "localhost", "evil.test"]) {
    const origin = `http://${name}:${evil.address().port}`;
    const tab = await browser.newPage();
    const statuses = {};
    tab.on("response", (r) => { if (r.url().startsWith(world.base)) (statuses[`${r.request().method()} ${new URL(r.url()).pathname}`] ??= []).push(r.status()); });
    await tab.goto(origin, { waitUntil: "load" });
    const read = await tab.evaluate(async (base) => {
      const out = [];
      for (const options of [{}, { credentials: "include" }, { mode: "no-cors", credentials: "include" }, { method: "POST", mode: "no-cors", credentials: "include" }, { headers: { authorization: "Bearer x" } }]) {
        out.push(await fetch(`${base}/admin/api/v1/live`, options).then((r) => r.text(), () => ""));
      }
      return out;
    }, world.base);
    await Promise.all([
      tab.waitForResponse((r) => r.url().endsWith("/sign-out")),
      tab.evaluate(() => document.getElementById("f").submit()),
    ]);
    check(read.every((body) => body === ""), `${origin} has read ${read}`);
    const post = statuses["POST /admin/sign-out"] ?? [];
    check(post.length === 1 && post[0] === 403, `${origin} signed out: ${JSON.stringify(statuses)}`);
    for (const [what, all] of Object.entries(statuses)) check(all.every((s) => s >= 400), `${origin}: ${what} ${all}`);
    const framed = await Promise.all(tab.frames().slice(1).map((frame) => frame.evaluate(() => document.body?.innerText ?? "").catch(() => "")));
    check(!framed.some((body) => body.includes("Under way")), `${origin} has framed the dashboard`);
    await tab.close();
  }
  evil.close();
  const rebound = await browser.newPage();
  const answer = await rebound.goto(world.base.replace(host, `evil.test:${host.split(":")[1]}`) + "/admin");
  check(answer.status() === 421, `by another name: ${answer.status()}`);
  await rebound.close();
  await go("/admin");
  await has("Under way");

  // Signing out.
  await led(() => page.click("form[action='/admin/sign-out'] button"));
  check(page.url().endsWith("/admin/sign-in"), `signed out to ${page.url()}`);
  check(!(await browser.cookies()).some((cookie) => cookie.name === "strait_session"), "the cookie is still there");
} catch (error) {
  wrong.push(String(error.stack ?? error));
} finally {
  await browser.close();
}
for (const what of wrong) console.log(`wrong: ${what}`);
process.exit(wrong.length ? 1 : 0);
