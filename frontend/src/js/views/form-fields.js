// The fields of the new-job form: drawn once from what there is to choose, marked whenever something is wrong.

import { attribute, clone, fill, first, part, text } from "../dom.js";
import { gpus, money } from "../format.js";
import { HYPERPARAMETERS } from "../training-input.js";

/** @param {HTMLElement} holder */
export function drawHyperparameters(holder) {
  const fields = HYPERPARAMETERS.map(({ name, label, kind, hint }) => {
    const field = clone("field");
    const input = first(field, "input");
    const caption = first(field, "label");
    field.dataset.field = `hyperparameters.${name}`;
    field.classList.toggle("wide", kind === "text");
    input.id = caption.htmlFor = `field-${name}`;
    input.name = name;
    if (kind !== "text") input.inputMode = kind === "whole" ? "numeric" : "text";
    text(caption, label);
    text(part(field, "hint"), hint);
    part(field, "hint").id = `${name}-hint`;
    part(field, "field-error").id = `${name}-error`;
    attribute(input, "aria-describedby", `${name}-hint ${name}-error`);
    return field;
  });
  holder.replaceChildren(...fields);
}

/**
 * @param {HTMLElement} holder
 * @param {import("../kinds.js").Preset[]} presets
 * @param {import("../kinds.js").GpuType[]} gpuTypes
 */
export function drawPresets(holder, presets, gpuTypes) {
  const cards = presets.map((preset) => {
    const card = clone("preset");
    const radio = first(card, "input");
    radio.value = preset.id;
    radio.id = first(card, "label").htmlFor = `preset-${preset.id}`;
    for (const name of /** @type {const} */ (["name", "description", "summary"]))
      part(card, name).id = `${radio.id}-${name}`;
    attribute(radio, "aria-labelledby", `${radio.id}-name`);
    attribute(radio, "aria-describedby", `${radio.id}-description ${radio.id}-summary`);
    const gpu = gpuTypes.find(({ id, name }) => id === preset.gpuType || name === preset.gpuType);
    fill(card, {
      name: preset.name,
      description: preset.description,
      summary: gpus({ gpuType: gpu?.name ?? preset.gpuType, numGpus: preset.numGpus }),
    });
    return card;
  });
  holder.replaceChildren(...cards);
}

/**
 * @param {HTMLElement} select
 * @param {import("../kinds.js").GpuType[]} gpuTypes
 */
export function drawGpuTypes(select, gpuTypes) {
  select.replaceChildren(
    ...gpuTypes.map(({ id, name, costPerGpuHour }) => new Option(`${name}, ${money(costPerGpuHour)} / hour`, id)),
  );
}

/**
 * Marks each field that has a flaw, clears the rest, and answers the flaws that belong to no field.
 * @param {HTMLElement} root
 * @param {import("../kinds.js").Flaw[]} flaws
 */
export function markFlaws(root, flaws) {
  const homeless = new Set(flaws);
  for (const field of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-field]"))) {
    const error = part(field, "field-error");
    const control = field.querySelector("input, select");
    if (!error || !control) continue;
    const own = flaws.filter(({ path }) => path === field.dataset.field);
    own.forEach((flaw) => homeless.delete(flaw));
    text(error, own.map(({ message }) => sentence(message)).join(" "));
    error.hidden = own.length === 0;
    attribute(control, "aria-invalid", own.length ? "true" : null);
  }
  return [...homeless];
}

/** @param {string} words */
function sentence(words) {
  return /[.!?]$/.test(words) ? words : `${words[0].toUpperCase()}${words.slice(1)}.`;
}
