// @ts-check
"use strict";

// The data of one instance, as it is packed into the page (swerl_eval/reports/html/instance_data.py).

/** @typedef {[string, number[]]} Line text with its sign, and [length, class, length, class, …] from its start */
// Lists are bounded; `left_out` is how many more there are.

/** @typedef {{reproduction: string[], broken: string[], left_out: number, error: string, seconds: number}} Tests */
/**
 * @typedef {object} Candidate
 * @property {number[]} diff
 * @property {number[]} samples
 * @property {number} votes
 * @property {boolean} chosen
 * @property {string | null} verdict
 * @property {string | null} strict
 * @property {[number, number] | null} rewards
 * @property {Tests | null} tests
 */
/** @typedef {{reason: string, count: number, details: [number, string][]}} Rejections */
/** @typedef {{reason: string, votes: number, valid: number, unique: number, sample: number | null}} Choice */
/** @typedef {{rank: number, sample: number, votes: number, outcome: string, script: number[]}} Script */
/** @typedef {{files: string[], passing: number, excluded: string[], left_out: number, note: string}} Regression */
/**
 * @typedef {object} Evaluation
 * @property {string} verdict
 * @property {string} reason
 * @property {string} remark
 * @property {string | null} strict
 * @property {string} strict_reason
 * @property {string[]} suspicious
 * @property {number} seconds
 * @property {number} test_seconds
 * @property {string} image_id
 * @property {{passed: string[], failed: string[], left_out: number}} fail_to_pass
 * @property {{passed: number, failed: string[], left_out: number}} pass_to_pass
 */
/** @typedef {{test: string, kind: string, log: string[]}} Failing */
/**
 * @typedef {object} Answer
 * @property {number} sample
 * @property {string} thinking
 * @property {string} text
 * @property {string} finish_reason
 * @property {number | null} prompt_tokens
 * @property {number | null} completion_tokens
 * @property {string} error
 */
/** @typedef {{stage: string, start: number, end: number | null}} Span */
/**
 * @typedef {object} Instance
 * @property {string} id
 * @property {string} repo
 * @property {string} difficulty
 * @property {string} year
 * @property {string | null} issue
 * @property {string} failure
 * @property {string[][]} files
 * @property {string} files_origin
 * @property {string[]} ignored_files
 * @property {string[]} gold_files
 * @property {Line[]} lines
 * @property {number[] | null} gold
 * @property {Candidate[]} candidates the chosen one first, then by votes
 * @property {number} left_out candidates
 * @property {Rejections[]} rejections
 * @property {Choice | null} selection
 * @property {Script[]} reproduction
 * @property {Regression | null} regression
 * @property {Evaluation | null} evaluation
 * @property {Failing[]} failing
 * @property {Answer | null} answer
 * @property {Span[]} timeline
 */
/** @typedef {{id: string, unreadable: string}} Unreadable an instance whose records could not be read, and why */

/**
 * Unpacks what `packing.py` packed: base64 of deflated JSON.
 * @param {string} packed
 * @returns {Promise<Instance | Unreadable>}
 */
async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.trim()), (character) => character.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(inflated).text());
}
