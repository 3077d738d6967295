// One dot a job: what it cost, to the right, and the loss it came to, upward.

import { bargains, LETTERS } from "../compared.js";
import { attribute, part, text } from "../dom.js";
import { loss, money } from "../format.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [96, 610, 20, 180];

/**
 * @param {HTMLElement} root
 * @param {import("../kinds.js").ComparedJob[]} jobs
 */
export function drawScatter(root, jobs) {
  const { name, points } = bargains(jobs);
  const known = points.flatMap(({ cost, loss }, i) =>
    loss === null ? [] : [{ cost, loss, letter: LETTERS[i], token: `--chart-${i + 1}` }],
  );
  part(root, "bargain").hidden = known.length < 2;
  if (known.length < 2) return;
  const kind = name === "validationLoss" ? "validation loss" : "training loss";
  const across = scale(
    known.map(({ cost }) => cost),
    LEFT,
    RIGHT,
  );
  const up = scale(
    known.map((point) => point.loss),
    BOTTOM,
    TOP,
  );
  const svg = part(root, "scatter");
  const { shape, words } = drawing(svg);
  attribute(
    svg,
    "aria-label",
    `Cost against ${kind}. ${known.map((point) => `${point.letter}: ${money(point.cost.toFixed(2))}, ${loss(point.loss)}`).join(". ")}.`,
  );
  text(part(root, "bargain-words"), `To the right what it cost, upward its newest ${kind}: low and left is best.`);
  svg.replaceChildren(
    shape("path", { class: "frame", d: `M${LEFT} ${TOP - 8}V${BOTTOM + 8}H${RIGHT + 8}` }),
    ...ends(known.map(({ cost }) => cost)).map((cost) =>
      words(money(cost.toFixed(2)), { x: across(cost), y: BOTTOM + 26, "text-anchor": "middle" }),
    ),
    ...ends(known.map((point) => point.loss)).map((value) =>
      words(loss(value), { x: LEFT - 8, y: up(value) + 4, "text-anchor": "end" }),
    ),
    ...known.flatMap((point) => {
      const dot = shape("circle", { cx: across(point.cost), cy: up(point.loss), r: 11 });
      dot.style.fill = `var(${point.token})`;
      return [
        dot,
        words(point.letter, {
          class: "letter",
          x: across(point.cost),
          y: up(point.loss) + 4.5,
          "text-anchor": "middle",
        }),
      ];
    }),
  );
}

/** @param {number[]} values */
function ends(values) {
  return [...new Set([Math.min(...values), Math.max(...values)])];
}

/**
 * From a value to a coordinate; equal values lie in the middle.
 * @param {number[]} values
 * @param {number} from
 * @param {number} to
 */
function scale(values, from, to) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return (/** @type {number} */ value) =>
    least === most
      ? (from + to) / 2
      : from + ((value - least) / (most - least)) * (to - from) * 0.94 + (to - from) * 0.03;
}

/**
 * What makes shapes and words for this SVG.
 * @param {SVGElement} svg
 */
function drawing({ namespaceURI }) {
  /**
   * @param {"path" | "circle" | "text"} kind
   * @param {Record<string, string | number>} attributes
   */
  const shape = (kind, attributes) => {
    const node = /** @type {SVGElement} */ (document.createElementNS(namespaceURI, kind));
    for (const [name, value] of Object.entries(attributes)) attribute(node, name, value);
    return node;
  };
  /**
   * @param {string} said
   * @param {Record<string, string | number>} attributes
   */
  const words = (said, attributes) => {
    const node = shape("text", attributes);
    node.textContent = said;
    return node;
  };
  return { shape, words };
}
