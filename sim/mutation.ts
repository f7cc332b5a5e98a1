/** A mistake, as edits of the tree that it is planted into. */
export interface Mutation {
  readonly name: string;
  readonly edits: readonly {
    readonly file: string;
    readonly from: string;
    readonly to: string;
  }[];
}
