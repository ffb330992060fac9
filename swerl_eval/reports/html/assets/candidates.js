// @ts-check
"use strict";

// The candidates of an instance, the answers that gave none, and the tests that the candidates went through.

/** @type {(rewards: [number, number]) => string} */
function rewardRange([least, most]) {
  return least === most ? least.toFixed(2) : `${least.toFixed(2)} to ${most.toFixed(2)}`;
}

/** @type {(data: Instance) => HTMLElement | null} */
function candidatesPart({ candidates, left_out: leftOut, lines }) {
  if (candidates.length === 0) return null;
  const told = "Unique candidates: the chosen one, then by votes. Those that differ in layout only share their votes.";
  return part(
    "Candidates",
    missing(candidates.length === 1 && !leftOut ? "The chosen one is the only candidate." : told),
    ...candidates.map((candidate, index) => candidateFold(candidate, index, lines)),
    leftOut ? missing(`and ${leftOut} more, with the fewest votes, for which the page has no room`) : null,
  );
}

/** @type {(candidate: Candidate, index: number, lines: Line[]) => HTMLElement} */
function candidateFold(candidate, index, lines) {
  const { tests } = candidate;
  const said = [make("span", { class: "name" }, `Candidate ${index + 1}`)];
  const say = (/** @type {string} */ text, kind = "said") => said.push(make("span", { class: kind }, text));
  if (candidate.chosen) say("chosen", "hit");
  say(counted(candidate.votes, "vote"));
  if (tests) {
    const resolved = tests.reproduction.filter((outcome) => outcome === "resolved").length;
    if (tests.reproduction.length) say(`reproduction ${resolved} of ${tests.reproduction.length}`);
    say(`breaks ${tests.broken.length + tests.left_out}`);
    if (tests.error) say("tests not run to their end", "missed");
  }
  if (candidate.rewards) say(`reward ${rewardRange(candidate.rewards)}`);
  if (candidate.verdict) said.push(stateMark(candidate.verdict));
  if (candidate.strict && candidate.strict !== candidate.verdict) say(`strict: ${words(candidate.strict)}`, "missed");
  const fold = makeFold(said.flatMap((mark) => [mark, " "]), () => candidateBody(candidate, index, lines));
  fold.classList.add("candidate");
  return fold;
}

/** @type {(candidate: Candidate, index: number, lines: Line[]) => HTMLElement[]} */
function candidateBody(candidate, index, lines) {
  const { tests } = candidate;
  return [
    factsOf([
      [candidate.samples.length === 1 ? "Sample" : "Samples", candidate.samples.join(", ")],
      ["Reproduction tests", (tests?.reproduction ?? []).map(words).join(", ")],
      ["Breaks", tests?.broken.length ? listOf(tests.broken, tests.left_out) : ""],
      ["Error", tests?.error ?? ""],
      ["Tests took", tests ? `${tests.seconds.toFixed(1)} s` : ""],
    ]),
    showDiff(candidate.diff, lines, `Candidate ${index + 1}`),
  ];
}

/** @type {(data: Instance) => HTMLElement | null} */
function rejectionsPart({ rejections }) {
  if (rejections.length === 0) return null;
  return part(
    "Answers without a candidate",
    ...rejections.map(({ reason, count, details }) => {
      const name = make("span", { class: "name" }, words(reason));
      const said = make("span", { class: "said" }, counted(count, "answer"));
      return makeFold([name, " ", said], () => {
        const items = details.map(([sample, detail]) => make("li", {}, `sample ${sample}: ${detail}`));
        const list = make("ul", { class: "details" }, ...items);
        return items.length < count ? [list, missing(`and ${count - items.length} more`)] : [list];
      });
    }),
  );
}

/** @type {(data: Instance) => HTMLElement | null} */
function scriptsPart({ reproduction, regression, lines }) {
  if (reproduction.length === 0 && regression === null) return null;
  return part(
    "Tests of the candidates",
    ...reproduction.map((script) => {
      const name = `Reproduction test ${script.rank + 1}`;
      const said = [
        make("span", { class: "name" }, name),
        " ",
        make("span", { class: "said" }, `${counted(script.votes, "vote")}, sample ${script.sample}`),
        " ",
        make("span", { class: "said" }, `on the original code: ${words(script.outcome)}`),
      ];
      return makeFold(said, () => [showScript(script.script, lines, name)]);
    }),
    regression === null
      ? null
      : factsOf([
          ["Regression tests", `${counted(regression.passing, "test")} that pass on the original code`],
          ["Test files", regression.files.length ? listOf(regression.files) : ""],
          ["Left out", regression.excluded.length ? listOf(regression.excluded, regression.left_out) : ""],
          ["Note", regression.note],
        ]),
  );
}
