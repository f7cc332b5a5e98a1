// Prices by rank: below a hundred, below ten thousand, and above.

export const rankOf = (price: number): 1 | 2 | 3 => {
  if (price < 10_000) return 1;
  return price < 1_000_000 ? 2 : 3;
};
