/** The numbers of sntrup761, and how they are brought into range without a division, whose time may tell the number. */

export const p: usize = 761
export const q: i32 = 4591
/** Bytes of a polynomial of 768 int16. */
export const polynomialLength: usize = 768 * 2

/** Modulo q, centred. Two estimates of the quotient bring |x| < 2^24 within a few q of zero, the last one rounds. */
export function reduceQ(x: i32): i32 {
  let rest = x - q * ((14 * x) >> 16)
  rest -= q * ((228 * rest) >> 20)
  return rest - q * ((58470 * rest + 0x8000000) >> 28)
}

/** Modulo 3, centred, for |x| < 2^14. */
export function reduce3(x: i32): i32 {
  return x - 3 * ((10923 * x + 16384) >> 15)
}
