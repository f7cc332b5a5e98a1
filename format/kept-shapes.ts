// V8 compiles code for the shapes that objects have, their hidden classes, and throws it away when a full
// collection of garbage finds no object of such a shape any more. Readers, writers and batches live for
// less than a frame, so none of them is there when it looks: until one of each stayed, all that was compiled for
// them was compiled anew after every collection (docs/performance.md, "Many subtasks").
//   S1. What is kept has the shape that all others of its class have for good, and holds on to nothing else.

const kept: object[] = [];

/**
 * Keeps an object for good, so that code that was compiled for its shape stays. Called once, as its module is
 * loaded, for a class of which there may be no object at times and that is much used.
 */
export function keepShape(object: object): void {
  kept.push(object);
}
