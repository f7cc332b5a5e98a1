// Numbers for people.

export const whole = (value: number): string => Math.round(value).toLocaleString("en");
export const fixed = (value: number): string => value.toFixed(1);
export const megabytes = (bytes: number): string => `${fixed(bytes / 1e6)} MB`;
