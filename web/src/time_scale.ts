// The scale of the time slider: seconds near the present, years far from it, so that one slider reaches all of the tape.

/** Age that the last stretch of the slider is about, in seconds. */
const NEAR = 20;

/** The age at a place of the slider: 1 is the present, 0 the beginning, `whole` seconds ago. */
export function ageAt(place: number, whole: number): number {
  const steepness = Math.log(whole / NEAR + 1);
  return NEAR * (Math.exp(steepness * (1 - place)) - 1);
}

/** The place of an age on the slider. */
export function placeOf(age: number, whole: number): number {
  const steepness = Math.log(whole / NEAR + 1);
  return 1 - Math.log(Math.max(0, age) / NEAR + 1) / steepness;
}

const MARKS: [label: string, seconds: number][] = [
  ["1 min", 60],
  ["10 min", 600],
  ["1 h", 3_600],
  ["6 h", 21_600],
  ["1 d", 86_400],
  ["1 wk", 604_800],
  ["1 mo", 2_629_800],
  ["1 yr", 31_557_600],
  ["10 yr", 315_576_000],
];

/** Ages to mark on the slider. */
export function marks(whole: number): { label: string; place: number }[] {
  return MARKS.filter(([, age]) => age < whole * 0.6).map(([label, age]) => ({ label, place: placeOf(age, whole) }));
}
