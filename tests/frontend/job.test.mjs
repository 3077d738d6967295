// What is said of a job: what it waits for, where it is heading, what happened to it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { againstEstimate, outlook } from "../../frontend/src/js/outlook.js";
import { timeline } from "../../frontend/src/js/timeline.js";
import { waitsFor } from "../../frontend/src/js/waits.js";

const NOON = Date.UTC(2026, 10, 24, 12);
const at = (seconds) => new Date(NOON + seconds * 1000).toISOString();
const points = (count) =>
  Array.from({ length: count }, (_, i) => ({
    step: i + 1,
    timestamp: at(i + 1),
  }));
const running = (changes = {}) => ({
  status: "RUNNING",
  stage: "training",
  release: "NONE",
  stale: false,
  createdAt: at(0),
  startedAt: at(0),
  currentStep: 100,
  totalSteps: 400,
  costs: { current: "1.00", estimatedTotal: "4.00", final: null, records: [] },
  gpuConfig: { gpuType: "NVIDIA A100", numGpus: 2, hourlyRate: "36.00" },
  ...changes,
});

test("what is waited for is one sentence, and nothing where nothing is", () => {
  const say = (changes, known = 10, now = NOON + 5_000) =>
    waitsFor(running(changes), points(known), now);
  assert.equal(say({}), "");
  assert.equal(
    say({ status: "QUEUED" }),
    "Waiting for a worker to take it up.",
  );
  assert.match(
    say({ status: "QUEUED" }, 0, NOON + 300_000),
    /^No worker has taken it up for 5m 00s/,
  );
  assert.equal(
    say({ status: "INITIALIZING", stage: "handing it over" }),
    "Handing it over. Waiting for it to accept the job.",
  );
  assert.equal(
    say({ stage: "loading the model" }, 0),
    "Loading the model. Waiting for the first metrics.",
  );
  assert.equal(say({}, 0), "Waiting for the first metrics.");
  assert.equal(say({ stage: "finishing" }), "Finishing.");
  assert.match(say({ stale: true }), /does not answer/);
  assert.match(
    say({ status: "CANCELLED", stage: null, release: "RELEASING" }),
    /confirm that its GPUs are free/,
  );
  for (const status of ["COMPLETED", "FAILED", "CANCELLED"])
    assert.equal(say({ status, stage: null, release: "RELEASED" }), "");
});

test("the end and the final cost follow from the pace of the newest points", () => {
  const ahead = outlook(running(), points(100), NOON + 100_000);
  assert.equal(Math.round(ahead.seconds), 300);
  assert.equal(
    ahead.cost,
    "4.00",
    "a dollar so far, and five minutes at 36 an hour",
  );
  assert.equal(ahead.points, 50);
  assert.equal(Math.round((ahead.at - NOON) / 1000), 400);
});

test("nothing is foretold of a job that does not run, that is out of sight, or of which too little is known", () => {
  for (const changes of [
    { status: "COMPLETED" },
    { status: "QUEUED" },
    { stale: true },
  ]) {
    assert.equal(outlook(running(changes), points(100), NOON + 100_000), null);
  }
  assert.equal(outlook(running(), points(1), NOON + 1_000), null);
});

const against = (estimatedTotal, final, status = "COMPLETED") =>
  againstEstimate({ status, costs: { estimatedTotal, final } });

test("in the end the cost is held against the estimate", () => {
  assert.equal(against("4.00", "3.00"), "25% below the estimate");
  assert.equal(against("4.00", "5.00"), "25% above the estimate");
  assert.equal(against("4.00", "4.00"), "as estimated");
  assert.equal(against("0.00", "1.00"), "");
  assert.equal(against("4.00", null, "RUNNING"), "");
  assert.equal(
    against("4.00", "1.00", "CANCELLED"),
    "",
    "it was never meant to cost so little",
  );
});

test("what happened stands in the order in which it happened, each with its reason", () => {
  const events = [
    ["CREATED", 0, "laptop"],
    ["SUBMITTED", 1, null],
    ["ACCEPTED", 2, "2x NVIDIA A100"],
    ["FIRST_METRICS", 3, "step 1"],
    ["STALE", 30, "timeout"],
    ["RECOVERED", 40, null],
    ["CANCELLED", 60, null],
    ["RELEASED", 70, null],
  ].map(([kind, second, detail]) => ({ kind, at: at(second), detail }));
  const records = [70, 60].map((second) => ({
    recordedAt: at(second),
    amount: "0.02",
  }));
  const said = timeline({ events, releasingSince: at(60), costs: { records } });
  assert.deepEqual(
    said.map(({ what, why }) => `${what}: ${why}`),
    [
      "Asked for: from the preset laptop",
      "Handed to the GPU cluster: ",
      "Accepted: on 2x NVIDIA A100; it costs money from here",
      "First metrics: at step 1",
      "No contact with the cluster: timeout",
      "The cluster answers again: ",
      "Cancelled: ",
      "Release of the GPUs asked for: ",
      "Booked: $0.02",
      "GPUs released: ",
      "Booked: $0.02",
    ],
  );
});

test("an event that this page does not know yet is told by its name", () => {
  assert.equal(
    timeline({
      events: [{ kind: "MOVED", at: at(0), detail: null }],
      costs: { records: [] },
    })[0].what,
    "MOVED",
  );
});
