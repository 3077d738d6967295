// A new job: dataset, preset, hyperparameters, GPUs; what it would cost, live; start.

import { graphql } from "../api.js";
import { hideAway, showAway } from "../away.js";
import { attribute, clone, fill, first, part, text } from "../dom.js";
import { CREATE_JOB, ESTIMATE_COST, FORM_OPTIONS, JOB_SETTINGS } from "../documents.js";
import { count, exact, money, percent, roughHours } from "../format.js";
import { poll } from "../poll.js";
import { earliest } from "../signals.js";
import { said } from "../thrown.js";
import { toast } from "../toasts.js";
import { freshKey, HYPERPARAMETERS, trainingInput } from "../training-input.js";
import { check } from "./dataset-check.js";
import { wireUpload } from "./dataset-upload.js";
import { drawGpuTypes, drawHyperparameters, drawPresets, markFlaws } from "./form-fields.js";
import { setTitle } from "../title.js";

/** @typedef {import("../kinds.js").Dataset} Dataset */
/** @typedef {import("../kinds.js").Flaw} Flaw */
/** @typedef {import("../kinds.js").FormOptions} Options */
/** @typedef {import("../kinds.js").JobSettings} Settings */
/** @typedef {import("../kinds.js").TrainingInput} Input */
/** @typedef {{id: string | null, hyperparameters: import("../kinds.js").Hyperparameters, gpuType: string, numGpus: number}} Values */

const DEBOUNCE_MS = 250;
const TAKEN_UP = 5; // of the newest uploads without an end

/** @type {import("../kinds.js").View} */
export async function mountJobForm({ root, url, signal, navigate }) {
  setTitle("New job");
  root.append(clone("loading"));
  const load = async () => {
    const from = url.searchParams.get("from");
    const options = await graphql(FORM_OPTIONS, {}, { signal });
    const settings = from ? (await graphql(JOB_SETTINGS, { id: from }, { signal })).job : null;
    root.replaceChildren(clone("job-form"));
    new JobForm(root, options, { signal, navigate }).begin(settings);
    first(root, "h1").focus({ preventScroll: true });
    return false;
  };
  await poll(load, { signal, onAway: showAway, onBack: hideAway });
}

class JobForm {
  /**
   * @param {HTMLElement} root
   * @param {Options} options
   * @param {Pick<import("../kinds.js").Context, "signal" | "navigate">} context
   */
  constructor(root, { datasets, presets, gpuTypes }, { signal, navigate }) {
    this.root = root;
    this.presets = presets;
    this.gpuTypes = gpuTypes;
    this.signal = signal;
    this.navigate = navigate;
    this.datasets = [...datasets.nodes];
    this.totalDatasets = datasets.totalCount;
    /** @type {Flaw[]} */
    this.serverFlaws = [];
    /** @type {Map<string, string>} what is said of a dataset that waits for its file or its check */
    this.unfinished = new Map();
    this.asking = new AbortController();
    this.attempt = { key: freshKey(), said: "" };
  }

  /** @param {Settings | null} settings */
  begin(settings) {
    const { root } = this;
    drawHyperparameters(part(root, "hyperparameters"));
    drawPresets(part(root, "presets"), this.presets, this.gpuTypes);
    drawGpuTypes(part(root, "gpu-type"), this.gpuTypes);
    if (settings && !this.datasets.some(({ id }) => id === settings.dataset.id)) this.datasets.push(settings.dataset);
    const chosen = settings?.dataset.id ?? this.datasets.find(({ status }) => status === "READY")?.id;
    this.drawDatasets(chosen);
    this.fillFrom(settings ? { ...settings, ...settings.gpuConfig, id: settings.presetId } : this.presets[0]);

    part(root, "presets").addEventListener("change", ({ target }) => {
      const chosen = target instanceof HTMLInputElement && this.presets.find(({ id }) => id === target.value);
      if (chosen) this.fillFrom(chosen);
    });
    const form = part(root, "form");
    form.addEventListener(
      "input",
      ({ target }) => target instanceof Element && target !== part(root, "file") && this.changed(target),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    wireUpload(root, {
      signal: this.signal,
      onDataset: (dataset) => {
        this.datasets = [dataset, ...this.datasets.filter(({ id }) => id !== dataset.id)];
        this.drawDatasets(dataset.status === "READY" ? dataset.id : part(root, "dataset").value);
        this.changed(part(root, "dataset"));
      },
    });
    this.changed();
    this.takeUp();
  }

  /** A check that was cut off, by a reload or the API's end, goes on when it is asked for again. */
  async takeUp() {
    for (const dataset of this.datasets.filter(({ status }) => status === "UPLOADING").slice(0, TAKEN_UP)) {
      const say = (/** @type {string} */ words) => {
        this.unfinished.set(dataset.id, words);
        const option = [...part(this.root, "dataset").options].find(({ value }) => value === dataset.id);
        if (option) text(option, `${dataset.name} (${words})`);
      };
      const onProgress = (/** @type {number} */ checked) => say(`being checked, ${percent(checked)}`);
      try {
        const { dataset: found } = await check(dataset.id, { onProgress, signal: this.signal });
        if (found) this.show(found);
        else say("its upload never ended: upload it again");
      } catch {
        return; // it stands there as UPLOADING, and the next visit asks again
      }
    }
  }

  /** @param {Dataset} dataset */
  show(dataset) {
    const chosen = part(this.root, "dataset").value;
    this.datasets = this.datasets.map((known) => (known.id === dataset.id ? dataset : known));
    this.drawDatasets(chosen || (dataset.status === "READY" ? dataset.id : ""));
    if (!chosen) this.changed(part(this.root, "dataset"));
  }

  /** @param {string | undefined} chosen */
  drawDatasets(chosen) {
    const select = part(this.root, "dataset");
    const items = this.datasets.map(({ id, name, status }) => {
      const option = new Option(
        status === "READY" ? name : `${name} (${this.unfinished.get(id) ?? status.toLowerCase()})`,
        id,
      );
      option.disabled = status !== "READY";
      return option;
    });
    select.replaceChildren(new Option(items.length ? "Choose…" : "There is none yet: upload one below", ""), ...items);
    select.value = chosen ?? "";
    if (select.selectedIndex < 0) select.value = "";
  }

  /**
   * Takes over a preset's values, or those of the job that is run again.
   * @param {Values} values
   */
  fillFrom({ id, hyperparameters, gpuType, numGpus }) {
    const { root } = this;
    for (const radio of part(root, "presets").querySelectorAll("input")) radio.checked = radio.value === id;
    for (const { name } of HYPERPARAMETERS) {
      const value = hyperparameters[name];
      this.field(name).value = typeof value === "number" ? exact(value) : value;
    }
    const gpu = this.gpuTypes.find((type) => type.id === gpuType || type.name === gpuType);
    if (gpu) part(root, "gpu-type").value = gpu.id;
    part(root, "num-gpus").value = String(numGpus);
    this.serverFlaws = [];
    this.changed();
  }

  /** @param {keyof import("../kinds.js").Hyperparameters} name */
  field(name) {
    return /** @type {HTMLInputElement} */ (this.root.querySelector(`#field-${name}`));
  }

  read() {
    const { root } = this;
    return trainingInput({
      datasetId: part(root, "dataset").value,
      presetId: [...part(root, "presets").querySelectorAll("input")].find(({ checked }) => checked)?.value,
      gpuType: part(root, "gpu-type").value,
      numGpus: part(root, "num-gpus").value,
      ...Object.fromEntries(HYPERPARAMETERS.map(({ name }) => [name, this.field(name).value])),
    });
  }

  /**
   * Something was typed or chosen: what the API said of that field is out of date, and so is the estimate.
   * @param {Element} [control]
   */
  changed(control) {
    const path = control?.closest("[data-field]")?.getAttribute("data-field");
    this.serverFlaws = this.serverFlaws.filter((flaw) => flaw.path !== path);
    text(part(this.root, "form-error"), "");
    part(this.root, "form-error").hidden = true;
    this.drawHints();
    const { input, flaws } = this.read();
    this.drawFlaws([...flaws, ...this.serverFlaws]);
    this.asking.abort();
    const { datasetId } = input;
    if (!datasetId) return this.sayEstimate("Choose a dataset to see the price.");
    if (flaws.length) return this.sayEstimate("Correct the marked fields to see the price.");
    this.asking = new AbortController();
    const signal = earliest(this.signal, this.asking.signal);
    part(this.root, "estimate").setAttribute("aria-busy", "true");
    const timer = setTimeout(() => this.estimate({ ...input, datasetId }, signal), DEBOUNCE_MS);
    signal.addEventListener("abort", () => clearTimeout(timer));
  }

  /**
   * Asks for the price until it is answered; a newer question aborts this one, so the newest wins.
   * @param {Input} input
   * @param {AbortSignal} signal
   */
  async estimate(input, signal) {
    const look = async () => {
      const { estimateCost: result } = await graphql(ESTIMATE_COST, { input }, { signal });
      const isPriced = result.__typename === "CostEstimate";
      this.serverFlaws = isPriced ? [] : flawsIn(result);
      this.drawFlaws(this.serverFlaws);
      if (isPriced) this.drawEstimate(result);
      else this.sayEstimate(result.fields ? "Correct the marked fields to see the price." : result.message);
      return false;
    };
    try {
      await poll(look, { signal, onAway: showAway, onBack: hideAway });
    } catch (error) {
      if (!signal.aborted) this.sayEstimate(`There is no estimate. ${said(error)}`);
    }
  }

  /** @param {{total: string, hourlyRate: string, durationHours: number, totalSteps: number}} estimate */
  drawEstimate({ total, hourlyRate, durationHours, totalSteps }) {
    attribute(part(this.root, "estimate"), "aria-busy", null);
    part(this.root, "estimate-facts").hidden = false;
    fill(this.root, {
      "estimate-total": money(total),
      "estimate-note": "expected for the whole job: its tokens at this GPU's pace, start-up included",
      "estimate-rate": money(hourlyRate),
      "estimate-time": roughHours(durationHours),
      "estimate-steps": count(totalSteps),
    });
  }

  /** @param {string} words */
  sayEstimate(words) {
    attribute(part(this.root, "estimate"), "aria-busy", null);
    part(this.root, "estimate-facts").hidden = true;
    fill(this.root, { "estimate-total": "–", "estimate-note": words });
  }

  drawHints() {
    const { root } = this;
    const dataset = this.datasets.find(({ id }) => id === part(root, "dataset").value);
    const gpu = this.gpuTypes.find(({ id }) => id === part(root, "gpu-type").value);
    const more = this.totalDatasets > 50 ? `The newest 50 of ${count(this.totalDatasets)} are listed.` : "";
    fill(root, {
      "dataset-hint": dataset
        ? `${count(dataset.totalTrainingPairs)} pairs, ${count(dataset.totalTokens)} tokens`
        : more,
      "gpu-hint": gpu ? `${gpu.memoryGb} GB each, ${money(gpu.costPerGpuHour)} per GPU and hour` : "",
      "num-gpus-hint": gpu ? (gpu.maxGpus === 1 ? "This type has one." : `From 1 to ${gpu.maxGpus}`) : "",
    });
  }

  /** @param {Flaw[]} flaws */
  drawFlaws(flaws) {
    const homeless = markFlaws(this.root, flaws);
    if (homeless.length) this.sayError(homeless.map(({ path, message }) => `${path}: ${message}`).join(" "));
  }

  /** @param {string} words */
  sayError(words) {
    text(part(this.root, "form-error"), words);
    part(this.root, "form-error").hidden = false;
  }

  async start() {
    const { input, flaws } = this.read();
    const { datasetId } = input;
    if (!datasetId) flaws.push({ path: "datasetId", message: "choose a dataset, or upload one" });
    if (!datasetId || flaws.length) return this.refuse(flaws);
    const wish = { ...input, datasetId };
    const button = part(this.root, "start");
    if (button.disabled) return;
    button.disabled = true;
    text(button, "Starting…");
    try {
      const { createJob: result } = await graphql(CREATE_JOB, { input: { ...wish, idempotencyKey: this.key(wish) } });
      if (result.job) {
        toast("Job created");
        return this.navigate(`/training/jobs/${encodeURIComponent(result.job.id)}`);
      }
      this.serverFlaws = flawsIn(result);
      if (this.serverFlaws.length) this.refuse(this.serverFlaws);
      else this.sayError(result.message);
    } catch (error) {
      this.sayError(`The job was not started. ${said(error)} Pressing Start again is safe: it starts one job only.`);
    }
    button.disabled = false;
    text(button, "Start training");
  }

  /** @param {Flaw[]} flaws */
  refuse(flaws) {
    this.drawFlaws(flaws);
    const [wrong] = [...part(this.root, "form").elements].filter(
      (control) => control.getAttribute("aria-invalid") === "true",
    );
    if (wrong instanceof HTMLElement) wrong.focus();
  }

  /**
   * The same key for the same intent, so that a lost answer and a second press still make one job.
   * @param {Input} input
   */
  key(input) {
    const said = JSON.stringify(input);
    if (this.attempt.said && this.attempt.said !== said) this.attempt = { key: freshKey(), said };
    this.attempt.said = said;
    return this.attempt.key;
  }
}

/**
 * What is wrong, field by field; empty where it is the matter of no field.
 * @param {{__typename: string, message: string, fields?: Flaw[]}} refused
 * @returns {Flaw[]}
 */
function flawsIn({ __typename, message, fields }) {
  if (fields) return fields;
  return __typename === "DatasetNotFound" || __typename === "DatasetNotReady" ? [{ path: "datasetId", message }] : [];
}
