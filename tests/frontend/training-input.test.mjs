// What was typed → the API's input, or what is wrong with it.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  freshKey,
  trainingInput,
} from "../../frontend/src/js/training-input.js";
import { datasetName } from "../../frontend/src/js/upload.js";

const typed = {
  datasetId: "d1",
  presetId: "laptop",
  gpuType: "a100",
  numGpus: "2",
  baseModel: "mistralai/Mistral-7B-v0.1",
  learningRate: "2e-4",
  batchSize: "8",
  numEpochs: "3",
  loraRank: "16",
  loraAlpha: "32",
  loraDropout: "0.05",
};

test("what was typed becomes numbers of the right kind", () => {
  assert.deepEqual(trainingInput(typed), {
    flaws: [],
    input: {
      datasetId: "d1",
      presetId: "laptop",
      gpuType: "a100",
      numGpus: 2,
      hyperparameters: {
        baseModel: "mistralai/Mistral-7B-v0.1",
        learningRate: 0.0002,
        batchSize: 8,
        numEpochs: 3,
        loraRank: 16,
        loraAlpha: 32,
        loraDropout: 0.05,
      },
    },
  });
});

test("what is empty is left to the preset", () => {
  const { input, flaws } = trainingInput({
    ...typed,
    loraRank: " ",
    numGpus: "",
    baseModel: "",
  });
  assert.deepEqual(flaws, []);
  assert.equal("loraRank" in input.hyperparameters, false);
  assert.equal("baseModel" in input.hyperparameters, false);
  assert.equal("numGpus" in input, false);
});

test("zero and numbers out of range go to the API, which says what is wrong with them", () => {
  const { input, flaws } = trainingInput({
    ...typed,
    loraRank: "0",
    loraDropout: "1.5",
    numGpus: "-1",
  });
  assert.deepEqual(flaws, []);
  assert.equal(input.hyperparameters.loraRank, 0);
  assert.equal(input.hyperparameters.loraDropout, 1.5);
  assert.equal(input.numGpus, -1);
});

test("what is no number is named by the path that the API uses", () => {
  const { flaws } = trainingInput({
    ...typed,
    loraRank: "sixteen",
    learningRate: "2e",
    batchSize: "1.5",
    numGpus: "9999999999",
    loraDropout: "0x1",
  });
  assert.deepEqual(flaws.map(({ path }) => path).sort(), [
    "hyperparameters.batchSize",
    "hyperparameters.learningRate",
    "hyperparameters.loraDropout",
    "hyperparameters.loraRank",
    "numGpus",
  ]);
});

test("two intents never share a key, in a secure context or not", (t) => {
  const keys = new Set([freshKey(), freshKey()]);
  t.mock.method(crypto, "randomUUID");
  Object.defineProperty(crypto, "randomUUID", {
    value: undefined,
    configurable: true,
  });
  keys.add(freshKey()).add(freshKey());
  delete crypto.randomUUID;
  assert.equal(keys.size, 4);
  for (const key of keys) assert.match(key, /^[0-9a-f-]{32,36}$/);
});

test("a dataset is named for its file", () => {
  assert.equal(datasetName("my_pairs.v2.jsonl"), "my_pairs.v2");
  assert.equal(datasetName(".jsonl"), ".jsonl");
});
