// @ts-check
"use strict";

// One instance with all that its records say.

/** What is written where a run folder, being older, lacks something. */
const NOT_HELD = "not in this run folder";

/**
 * Returns the parts of an instance's view, in order.
 * @param {Instance} data
 * @returns {HTMLElement[]}
 */
function showInstance(data) {
  return [
    ...warnings(data),
    part("Issue", data.issue === null ? missing(`The issue's text is ${NOT_HELD}.`) : prose(data.issue, "Issue")),
    filesPart(data),
    patchesPart(data),
    testsPart(data),
    failingPart(data),
    candidatesPart(data),
    rejectionsPart(data),
    scriptsPart(data),
    answerPart(data),
    timelinePart(data),
  ].filter((element) => element !== null);
}

/** @type {(data: Instance) => HTMLElement[]} */
function warnings(data) {
  const { evaluation } = data;
  const said = [];
  if (data.failure) said.push(make("p", { class: "banner bad" }, make("strong", {}, "Not finished. "), data.failure));
  for (const reason of evaluation?.suspicious ?? []) {
    said.push(make("p", { class: "banner bad" }, make("strong", {}, "Suspicious. "), reason));
  }
  return said;
}

/** @type {(data: Instance) => HTMLElement} */
function filesPart(data) {
  const gold = new Set(data.gold_files);
  const chosen = data.files.map((files, index) =>
    make(
      "div",
      {},
      make("h4", {}, data.files.length === 1 ? "Chosen" : `Chosen, list ${index + 1}`),
      make(
        "ol",
        { class: "names" },
        ...files.map((file) =>
          make("li", {}, make("code", {}, file), gold.has(file) ? make("span", { class: "hit" }, "gold") : null),
        ),
      ),
    ),
  );
  const listed = new Set(data.files.flat());
  const answers = make(
    "div",
    {},
    make("h4", {}, "Edited by the gold patch"),
    make(
      "ul",
      { class: "names" },
      ...data.gold_files.map((file) =>
        make(
          "li",
          {},
          make("code", {}, file),
          make("span", { class: listed.has(file) ? "hit" : "missed" }, listed.has(file) ? "chosen" : "not chosen"),
        ),
      ),
    ),
  );
  return part(
    "Files",
    chosen.length ? null : missing("No files were chosen."),
    make("div", { class: "beside" }, ...chosen, data.gold_files.length ? answers : null),
    data.ignored_files.length
      ? makeFold([`Paths in the answers that do not exist (${data.ignored_files.length})`], () => [
          listOf(data.ignored_files),
        ])
      : null,
    data.files_origin && data.files_origin !== "model" ? missing(`The lists come from: ${data.files_origin}`) : null,
  );
}

/** @type {(data: Instance) => HTMLElement} */
function patchesPart(data) {
  const chosen = data.candidates.find((candidate) => candidate.chosen);
  const { selection, evaluation, gold } = data;
  const mine = make("div", {}, make("h4", {}, "Chosen patch"));
  if (chosen === undefined || chosen.diff.length === 0) mine.append(missing("No patch was chosen."));
  else mine.append(showDiff(chosen.diff, data.lines, "Chosen patch"));
  const theirs = make("div", {}, make("h4", {}, "Gold patch"));
  if (gold === null) theirs.append(missing(`The gold patch is ${NOT_HELD}.`));
  else theirs.append(showDiff(gold, data.lines, "Gold patch"));
  return part(
    "Chosen patch and gold patch",
    factsOf([
      ["Why this one", selection?.reason ?? ""],
      ["Sample", selection?.sample == null ? "" : String(selection.sample)],
      ["Votes", selection?.votes ? `${selection.votes} of ${counted(selection.valid, "valid sample")}` : ""],
      ["Unique candidates", selection?.unique ? String(selection.unique) : ""],
      ["Reason", evaluation?.reason ?? ""],
      ["Remark", evaluation?.remark ?? ""],
      ["Control run", evaluation?.strict_reason ?? ""],
      ["Rewards of its samples", chosen?.rewards ? rewardRange(chosen.rewards) : ""],
    ]),
    make("div", { class: "beside patches" }, mine, theirs),
  );
}

/** @type {(data: Instance) => HTMLElement | null} */
function testsPart({ evaluation }) {
  if (evaluation === null) return part("Tests of the verdict", missing("The chosen patch was not evaluated."));
  const { fail_to_pass: fixed, pass_to_pass: kept } = evaluation;
  const total = fixed.passed.length + fixed.failed.length;
  const broken = kept.failed.length + kept.left_out;
  return part(
    "Tests of the verdict",
    factsOf([
      // the head of the instance has the numbers; these lists may be cut
      ["FAIL_TO_PASS", total && !fixed.left_out ? `${fixed.passed.length} of ${counted(total, "test")} pass` : ""],
      ["PASS_TO_PASS", kept.passed + broken ? `${kept.passed} of ${counted(kept.passed + broken, "test")} pass` : ""],
      ["Time", `${evaluation.seconds.toFixed(1)} s, of these ${evaluation.test_seconds.toFixed(1)} s in the tests`],
      ["Image", evaluation.image_id ? make("code", {}, evaluation.image_id) : null],
    ]),
    ...[
      { title: "FAIL_TO_PASS that fail", names: fixed.failed },
      { title: "PASS_TO_PASS that fail", names: kept.failed, more: kept.left_out },
      { title: "FAIL_TO_PASS that pass", names: fixed.passed },
    ]
      .filter(({ names }) => names.length > 0)
      .map(({ title, names, more = 0 }) =>
        makeFold([`${title} (${names.length + more})`], () => [listOf(names, more)]),
      ),
    fixed.left_out ? missing(`${counted(fixed.left_out, "FAIL_TO_PASS test")} more, which are not listed`) : null,
  );
}

/** @type {(data: Instance) => HTMLElement | null} */
function failingPart({ failing }) {
  if (failing.length === 0) return null;
  return part(
    "Failing tests",
    ...failing.map(({ test, kind, log }, index) => {
      const lines = () => [
        log.length
          ? make("pre", { class: "log", tabindex: "0", role: "group", "aria-label": `Log of ${test}` }, log.join("\n"))
          : missing("The log has no lines about this test."),
      ];
      return makeFold([make("code", {}, test), " ", make("span", { class: "note" }, kind)], lines, index === 0);
    }),
  );
}

/** @type {(data: Instance) => HTMLElement | null} */
function answerPart({ answer }) {
  if (answer === null) return null;
  const tokens = (/** @type {number | null} */ count, /** @type {string} */ kind) =>
    count === null ? "" : `${count.toLocaleString("en")} ${kind} tokens`;
  const sizes = [tokens(answer.prompt_tokens, "prompt"), tokens(answer.completion_tokens, "output")];
  return part(
    "The model's answer",
    factsOf([
      ["Sample", String(answer.sample)],
      ["Ended by", words(answer.finish_reason)],
      ["Size", sizes.filter(Boolean).join(", ")],
      ["Error", answer.error],
    ]),
    answer.thinking ? makeFold(["Thinking"], () => [prose(answer.thinking, "Thinking")]) : null,
    answer.text ? prose(answer.text, "Answer") : missing("The answer has no text."),
  );
}

/** @type {(data: Instance) => HTMLElement | null} */
function timelinePart({ timeline }) {
  if (timeline.length === 0) return null;
  const last = Math.max(...timeline.map(({ start, end }) => end ?? start), 0.001);
  const first = Math.min(...timeline.map(({ start }) => start));
  const width = Math.max(last - first, 0.001);
  const rows = timeline.map(({ stage, start, end }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, words(stage)),
      make("td", { class: "drawn" }, makeBar((start - first) / width, ((end ?? last) - first) / width)),
      make("td", { class: "figure" }, `${start.toFixed(1)} s`),
      make("td", { class: "figure" }, end === null ? "not ended" : `${(end - start).toFixed(1)} s`),
    ),
  );
  const heads = [
    make("th", { scope: "col" }, "Stage"),
    make("th", { scope: "col" }, make("span", { class: "hidden" }, "Drawn")),
    make("th", { scope: "col", class: "figure" }, "Starts at"),
    make("th", { scope: "col", class: "figure" }, "Takes"),
  ];
  return part(
    "Timeline",
    make("table", { class: "timeline" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)),
  );
}
