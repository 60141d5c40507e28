"use strict";

/* The page asks for status.json and events.json once a second and draws what changed. Rates and response
 * times are differences between answers: rondo itself only counts. */

const HISTORY = 120; /* samples kept, one a second */
const WINDOW = 60;   /* samples that response times are taken from */
const samples = [];  /* {status, at}, the oldest first */
let events = [];
let lastAnswer = Date.now();

/* ---- making elements: text is always text, never markup ---- */

function element(kind, attributes, ...content) {
	const made = document.createElement(kind);
	for (const [name, value] of Object.entries(attributes || {}))
		made.setAttribute(name, value);
	made.append(...content.filter((part) => part !== null));
	return made;
}

function shape(kind, attributes, text) {
	const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
	for (const [name, value] of Object.entries(attributes))
		made.setAttribute(name, value);
	if (text !== undefined)
		made.textContent = text;
	return made;
}

function find(selector) {
	return document.querySelector(selector);
}

/* ---- numbers for people ---- */

function plural(count, noun) {
	return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function number(value) {
	return value.toLocaleString("en", {maximumFractionDigits: 0});
}

function rateText(value) {
	return value < 10 ? value.toFixed(1) : number(value);
}

function duration(seconds) {
	if (seconds === null)
		return "–";
	if (seconds < 0.0995)
		return `${(seconds * 1000).toFixed(1)} ms`;
	if (seconds < 0.9995)
		return `${(seconds * 1000).toFixed(0)} ms`;
	return `${seconds.toFixed(1)} s`;
}

function age(seconds) {
	const whole = Math.floor(seconds);
	if (whole < 60)
		return `${whole} s`;
	if (whole < 3600)
		return `${Math.floor(whole / 60)} min`;
	if (whole < 86400)
		return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
	return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

function clock(unixSeconds) {
	return new Date(unixSeconds * 1000).toLocaleTimeString("en-GB");
}

const REASONS = {
	refused: "connection refused",
	unreachable: "unreachable",
	connect_timeout: "no connection in time",
	check: "health checks failed",
	timeout: "no answer in time",
	stalled: "took no more of the request",
	reset: "connection ended before the answer",
	bad_response: "broken response",
	status: "status that falls through",
	cut_off: "answer cut off",
	stale: "idle connection had ended",
	impatient: "did not wait for the client",
	client: "client went away",
	shortage: "rondo out of descriptors, ports or memory",
	deadline: "deadline of the request passed",
};

/* Not the backend's fault. */
const BLAMELESS = ["stale", "impatient", "client", "shortage", "deadline"];

/* ---- differences ---- */

function newest() {
	return samples[samples.length - 1];
}

function backendOf(sample, name) {
	return sample && sample.status.backends.find((backend) => backend.name === name);
}

/* Counts a second over the last few samples, so that the number can be read. */
function rateOf(count, end = samples.length - 1, span = 3) {
	const last = samples[end];
	const first = samples[Math.max(0, end - span)];
	if (!last || last === first)
		return 0;
	return Math.max(0, count(last) - count(first)) / ((last.at - first.at) / 1000);
}

function total(sample) {
	return sample.status.requests.total;
}

function requestsOf(name) {
	return (sample) => (backendOf(sample, name) || {requests: 0}).requests;
}

function history(count) {
	return samples.map((sample, i) => (i === 0 ? 0 : rateOf(count, i, 1))).slice(1);
}

/* The buckets of the last minute; those since the start as long as nothing came in it. */
function recent(histogram) {
	const now = histogram(newest());
	const before = samples.length > 1 && histogram(samples[Math.max(0, samples.length - 1 - WINDOW)]);
	const counts = now.map((bucket, i) => bucket.count - (before ? before[i].count : 0));
	const any = counts.some((count) => count > 0) && counts.every((count) => count >= 0);
	return {
		counts: any ? counts : now.map((bucket) => bucket.count),
		bounds: now.map((bucket) => bucket.le),
		note: any && before ? "last minute" : "since the start",
	};
}

/* What rondo says of the last seconds; of all since the start as long as nothing came in them. */
function times(histogram) {
	return histogram.recent.count > 0 ? histogram.recent : histogram;
}

/* ---- the ring ---- */

const CENTRE = {x: 230, y: 148};
const RADIUS = 84;

/* A backend that is up is on the ring, one that is down is outside it, one on trial is between the two. */
function distance(state) {
	return {up: RADIUS, trial: RADIUS + 11}[state] || RADIUS + 22;
}

function drawNode(svg, backend, position, count) {
	const angle = (position / count) * 2 * Math.PI - Math.PI / 2;
	const away = distance(backend.state);
	const x = CENTRE.x + Math.cos(angle) * away;
	const y = CENTRE.y + Math.sin(angle) * away;
	const size = Math.max(5, Math.min(11, 7 + backend.weight, 260 / count));
	if (away > RADIUS)
		svg.append(shape("line", {
			class: "link", x1: x, y1: y,
			x2: CENTRE.x + Math.cos(angle) * RADIUS, y2: CENTRE.y + Math.sin(angle) * RADIUS,
		}));
	const node = shape("circle", {class: `node ${backend.state}`, cx: x, cy: y, r: size});
	node.append(shape("title", {}, `${backend.name} is ${backend.state}: ${backend.why}`));
	svg.append(node);
	if (backend.state === "down") {
		const arm = size * 0.4;
		svg.append(shape("path", {
			class: "mark down",
			d: `M${x - arm} ${y - arm}l${2 * arm} ${2 * arm}m0 ${-2 * arm}l${-2 * arm} ${2 * arm}`,
		}));
	}
	if (count <= 12)
		drawLabel(svg, backend, {x, y, size, angle});
}

function drawLabel(svg, backend, {x, y, size, angle}) {
	const side = Math.cos(angle);
	const anchor = side > 0.2 ? "start" : side < -0.2 ? "end" : "middle";
	const shift = anchor === "middle" ? 0 : Math.sign(side) * (size + 6);
	const above = anchor === "middle" && Math.sin(angle) < 0;
	const base = anchor === "middle" ? y + (above ? -size - 18 : size + 15) : y - 1;
	const room = anchor === "middle" ? 30 : 17;
	const name = backend.name.length > room ? `${backend.name.slice(0, room - 1)}…` : backend.name;
	const rate = rateOf(requestsOf(backend.name));
	svg.append(shape("text", {x: x + shift, y: base, "text-anchor": anchor}, name));
	svg.append(shape("text", {x: x + shift, y: base + 13, "text-anchor": anchor, class: "soft"},
		backend.state === "up" ? `${rateText(rate)}/s` : backend.state));
}

function drawRing(status) {
	const svg = find("#ring svg");
	const up = status.backends.filter((backend) => backend.state === "up").length;
	const busy = rateOf(total) > 0;
	svg.replaceChildren(
		shape("circle", {class: "track", cx: CENTRE.x, cy: CENTRE.y, r: RADIUS}),
		shape("circle", {
			class: busy ? "turning" : "turning still", cx: CENTRE.x, cy: CENTRE.y, r: RADIUS,
		}),
		shape("text", {class: "count", x: CENTRE.x, y: CENTRE.y + 4, "text-anchor": "middle"},
			`${up}/${status.backends.length}`),
		shape("text", {class: "soft", x: CENTRE.x, y: CENTRE.y + 22, "text-anchor": "middle"},
			"backends up"));
	svg.setAttribute("aria-label", `${up} of ${plural(status.backends.length, "backend")} up`);
	status.backends.forEach((backend, i) => drawNode(svg, backend, i, status.backends.length));
}

/* ---- graphs ---- */

/* A graph begins with half a minute and grows to all that is kept. */
function span() {
	return Math.min(HISTORY - 1, Math.max(30, samples.length - 1));
}

function points(values, width, height, highest) {
	const step = width / (span() - 1);
	const start = width - (values.length - 1) * step;
	return values.map((value, i) =>
		`${(start + i * step).toFixed(1)},${(height - (value / highest) * (height - 2)).toFixed(1)}`);
}

function drawRate() {
	const values = history(total);
	const highest = Math.max(1, ...values);
	const line = points(values, 240, 80, highest);
	find("#rate").textContent = rateText(rateOf(total));
	find("#rate-note").textContent = values.length > 1 ? `at most ${rateText(Math.max(...values))}` : "";
	find("#rate-span").textContent = `${age(span())} ago`;
	if (line.length < 2)
		return;
	find("#rate-graph").replaceChildren(
		shape("polygon", {
			class: "area",
			points: `${line[0].split(",")[0]},80 ${line.join(" ")} 240,80`,
		}),
		shape("polyline", {class: "edge", points: line.join(" ")}));
}

function boundText(seconds) {
	if (seconds === null)
		return "∞";
	return seconds < 1 ? `${Math.round(seconds * 10000) / 10}` : `${seconds}s`;
}

function drawLatency() {
	const all = recent((sample) => sample.status.requests.duration.buckets);
	const highest = Math.max(1, ...all.counts);
	const sum = all.counts.reduce((before, count) => before + count, 0);
	find("#latency-window").textContent = all.note;
	const {p50, p99} = times(newest().status.requests.duration);
	find("#p50").textContent = duration(p50);
	find("#p99").textContent = duration(p99);
	const columns = all.counts.map((count, i) => {
		const share = sum > 0 ? ((100 * count) / sum).toFixed(1) : "0";
		const bar = element("i", {style: `height:${count > 0 ? Math.max(2, (100 * count) / highest) : 0}%`});
		/* Every other bound is written: that is what there is room for. */
		const label = i % 2 === 0 ? boundText(all.bounds[i]) : "";
		return element("div", {title: `up to ${boundText(all.bounds[i])}${all.bounds[i] < 1 ? " ms" : ""}: ${share} %`},
			bar, element("span", {}, label));
	});
	find("#latency").replaceChildren(...columns);
	find("#latency").setAttribute("aria-label",
		`half of the requests within ${duration(p50)}, 99 % within ${duration(p99)}`);
}

/* ---- backends ---- */

function failureCount(backend) {
	return Object.values(backend.failures).reduce((sum, count) => sum + count, 0);
}

function stateCell(backend) {
	const cell = element("div", {class: `state ${backend.state}`},
		element("span", {class: "pill"}, backend.silent ? `${backend.state}, silent` : backend.state),
		backend.why);
	let when = `for ${age(backend.for)}`;
	if (backend.next_try_in !== null)
		when += backend.next_try_in > 0 ? `, next try in ${Math.ceil(backend.next_try_in)} s` : ", trying now";
	cell.append(element("div", {class: "soft"}, `${when}, since ${clock(backend.since)}`));
	if (backend.next_try_in !== null && backend.window > 0) {
		const left = Math.min(100, (100 * backend.next_try_in) / backend.window);
		cell.append(element("div", {class: "countdown"}, element("i", {style: `width:${left}%`})));
	}
	return cell;
}

function sparkline(backend) {
	const values = history(requestsOf(backend.name));
	const svg = shape("svg", {class: "spark", viewBox: "0 0 120 20", preserveAspectRatio: "none"});
	if (values.length > 1)
		svg.append(shape("polyline", {points: points(values, 120, 20, Math.max(1, ...values)).join(" ")}));
	return svg;
}

function weightText(backend) {
	const effective = Math.round(backend.effective_weight * 10) / 10;
	const parts = [`weight ${backend.weight}`];
	if (effective !== backend.weight)
		parts.push(`now ${effective}`);
	if (backend.runtime_changes.includes("weight"))
		parts.push(`configured ${backend.configured_weight}`);
	return parts.join(", ");
}

function failureLine(failure) {
	const status = failure.status === null ? "" : ` ${failure.status}`;
	return element("li", {},
		`${clock(failure.time)}  ${failure.by}: ${failure.text}${status}, after ${duration(failure.after)}`);
}

function pairs(entries) {
	const list = element("dl");
	for (const [name, value] of entries)
		list.append(element("dt", {}, name), element("dd", {}, value));
	return list;
}

function details(backend) {
	const answers = Object.entries(backend.answers).filter(([, count]) => count > 0);
	const failures = Object.entries(backend.failures);
	const facts = pairs([
		["url", backend.url],
		["addresses", backend.addresses.join(", ") || "none"],
		["weight", weightText(backend) + (backend.backup ? ", backup" : "")],
		["changed at run time", backend.runtime_changes.join(", ") || "nothing"],
		["connections", `${backend.connections.active} busy, ${backend.connections.idle} idle, ` +
			`${number(backend.connections.opened)} opened`],
		["answers", answers.map(([kind, count]) => `${number(count)} × ${kind}`).join(", ") || "none"],
		["failures", failures.map(([reason, count]) =>
			`${number(count)} × ${REASONS[reason] || reason}`).join(", ") || "none"],
		["tried elsewhere", number(backend.retries)],
	]);
	const last = backend.last_failures.length
		? element("ol", {}, ...backend.last_failures.slice(0, 8).map(failureLine))
		: element("p", {class: "soft"}, "Nothing has failed here.");
	return element("div", {class: "more"}, facts, last);
}

const opened = new Set();

function backendRow(backend) {
	const {p50, p99} = times(backend.response);
	const failures = failureCount(backend);
	const row = element("details", {class: `backend ${backend.state}`, "data-name": backend.name},
		element("summary", {},
			element("div", {}, element("div", {class: "name"}, backend.name),
				element("div", {class: backend.runtime_changes.length ? "soft changed" : "soft"},
					weightText(backend))),
			stateCell(backend),
			element("div", {class: "wide"}, sparkline(backend),
				element("div", {class: "soft"}, `${rateText(rateOf(requestsOf(backend.name)))}/s`)),
			element("div", {class: "wide", title: "to the first byte; tries without an answer are failures"}, duration(p50),
				element("div", {class: "soft"}, `99 % ${duration(p99)}`)),
			element("div", {}, number(backend.requests), element("div", {class: "soft"},
				failures ? plural(failures, "failure") : "requests")),
			element("div", {class: "wide"}, `${backend.connections.active} + ${backend.connections.idle}`,
				element("div", {class: "soft"}, "busy, idle"))),
		details(backend));
	row.open = opened.has(backend.name);
	row.addEventListener("toggle", () => {
		if (row.open)
			opened.add(backend.name);
		else
			opened.delete(backend.name);
	});
	return row;
}

function drawBackends(status) {
	const focused = document.activeElement && document.activeElement.closest(".backend");
	const name = focused && focused.dataset.name;
	find("#backends div").replaceChildren(...status.backends.map(backendRow));
	if (name) {
		const row = [...document.querySelectorAll(".backend")].find((one) => one.dataset.name === name);
		if (row)
			row.querySelector("summary").focus({preventScroll: true});
	}
}

/* ---- failures and events ---- */

function drawFailures(status) {
	const reasons = new Map();
	for (const backend of status.backends)
		for (const [reason, count] of Object.entries(backend.failures))
			reasons.set(reason, [...(reasons.get(reason) || []), [backend.name, count]]);
	const rows = [...reasons].map(([reason, where]) =>
		({reason, where, count: where.reduce((sum, [, count]) => sum + count, 0)}));
	rows.sort((a, b) => b.count - a.count);
	const highest = rows.length ? rows[0].count : 1;
	const lines = rows.map(({reason, where, count}) =>
		element("div", {class: `reason ${BLAMELESS.includes(reason) ? "none" : "down"}`, "data-reason": reason},
			element("span", {}, REASONS[reason] || reason), element("b", {}, number(count)),
			element("div", {class: "bar"}, element("i", {style: `width:${Math.max(2, (100 * count) / highest)}%`})),
			element("span", {class: "soft"}, where.map(([name, times]) => `${name} ${number(times)}`).join(", "))));
	if (lines.length === 0)
		lines.push(element("p", {class: "soft"}, "Nothing has failed."));
	find("#failures div").replaceChildren(...lines);
}

function drawEvents() {
	const lines = events.map((event) =>
		element("li", {}, element("time", {title: new Date(event.time * 1000).toISOString()}, clock(event.time)),
			element("span", {class: `pill ${event.state || "none"}`}, event.state || "rondo"),
			element("span", {}, event.backend ? `${event.backend}: ${event.text}` : event.text)));
	if (lines.length === 0)
		lines.push(element("li", {}, element("span", {class: "soft"}, "none yet")));
	find("#events ol").replaceChildren(...lines);
}

/* ---- the top ---- */

/* Nothing where no request waits for a backend or found none lately. */
function waiting(queue) {
	const past = samples[0] ? samples[0].status.queue : queue;
	const vain = queue.timeout + queue.full - past.timeout - past.full;
	return [
		...queue.length > 0 ? [`${queue.length} waiting for a backend, the first for ${age(queue.longest)}`] : [],
		...vain > 0 ? [`${vain} waited in vain`] : [],
	];
}

function drawTop(status) {
	const up = status.backends.filter((backend) => backend.state === "up").length;
	const all = status.backends.length;
	const summary = status.rondo.state === "draining" ? "draining, no new clients"
		: up === all ? `all ${plural(all, "backend")} up` : `${up} of ${plural(all, "backend")} up`;
	find("#summary").textContent = summary + (status.ready ? "" : ", not ready");
	find("#summary").style.color = up === all ? "var(--up)" : up > 0 ? "var(--trial)" : "var(--down)";
	find("#facts").textContent = [
		plural(status.clients.connections, "client"),
		...waiting(status.queue),
		plural(status.retries.total, "retry").replace("retrys", "retries"),
		`up ${age(status.time - status.rondo.started)}`,
		`version ${status.rondo.version}`,
	].join(" · ");
	document.title = up === all ? "rondo" : `(${up}/${all}) rondo`;
	say(status.rondo.reload_refused ? `The last reload was refused: ${status.rondo.reload_refused}` : "");
}

function say(text) {
	find("#trouble").textContent = text;
	find("#trouble").hidden = text === "";
}

/* ---- life ---- */

function draw() {
	const {status} = newest();
	document.body.classList.remove("stale");
	drawTop(status);
	drawRing(status);
	drawRate();
	drawLatency();
	/* Drawing anew would remove a selection of text. */
	if (!getSelection().isCollapsed)
		return;
	drawBackends(status);
	drawFailures(status);
	drawEvents();
}

function take(status) {
	/* Another process counts from zero. */
	if (samples.length && newest().status.rondo.started !== status.rondo.started)
		samples.length = 0;
	/* Who asks too soon is answered the same again. */
	if (samples.length && newest().status.time === status.time)
		return;
	samples.push({status, at: status.time * 1000});
	if (samples.length > HISTORY)
		samples.shift();
}

async function ask(path) {
	const answer = await fetch(path, {cache: "no-store", signal: AbortSignal.timeout(5000)});
	if (!answer.ok)
		throw new Error(`${path}: ${answer.status}`);
	return answer.json();
}

async function update() {
	try {
		const [status, changes] = await Promise.all([ask("status.json"), ask("events.json")]);
		lastAnswer = Date.now();
		take(status);
		events = changes;
		draw();
	} catch (error) {
		document.body.classList.add("stale");
		say(`rondo does not answer, for ${age((Date.now() - lastAnswer) / 1000)}`);
	}
	setTimeout(update, document.hidden ? 5000 : 1000);
}

const first = JSON.parse(find("#first").textContent);
take(first.status);
events = first.events;
find("#page").hidden = false;
draw();
setTimeout(update, 1000);
