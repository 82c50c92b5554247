/** The sponges of SHA-3 (FIPS 202): one at a time. */

/** Bytes that a block takes of the state. */
export const shake128Rate: i32 = 168
export const shake256Rate: i32 = 136
export const sha3of512Rate: i32 = 72
/** The bits between a message and its padding (§6.1, §6.2). */
export const shakeSuffix: u8 = 0x1f
export const hashSuffix: u8 = 0x06

const state = memory.data(200, 16)
const turned = memory.data(200, 16)
/** The constants of ι (§3.2.5). */
const roundConstants = memory.data<u64>([
  0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
  0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
  0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
  0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
  0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
])
/** For each lane x + 5y by how much ρ turns it (§3.2.2), and where π puts it (§3.2.3). */
const turns = memory.data<u8>([
  0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14,
])
const places = memory.data<u8>([
  0, 10, 20, 5, 15, 16, 1, 11, 21, 6, 7, 17, 2, 12, 22, 23, 8, 18, 3, 13, 14, 24, 9, 19, 4,
])

let rate: i32 = 0
let position: i32 = 0

export function begin(bytesOfBlock: i32): void {
  memory.fill(state, 0, 200)
  rate = bytesOfBlock
  position = 0
}

export function absorb(at: usize, length: i32): void {
  for (let i = 0; i < length; i++) absorbByte(load<u8>(at + i))
}

export function absorbByte(byte: u8): void {
  mix(position, byte)
  if (++position === rate) permute()
}

/** Ends the message; `squeeze` follows. */
export function pad(suffix: u8): void {
  mix(position, suffix)
  mix(rate - 1, 0x80)
  permute()
}

export function squeeze(at: usize, length: i32): void {
  for (let i = 0; i < length; i++) {
    if (position === rate) permute()
    store<u8>(at + i, load<u8>(state + position++))
  }
}

export function wipeSponge(): void {
  memory.fill(state, 0, 200)
  memory.fill(turned, 0, 200)
}

function mix(at: i32, byte: u8): void {
  store<u8>(state + at, load<u8>(state + at) ^ byte)
}

/** Keccak-f[1600] (§3.3), at the end of a block. */
function permute(): void {
  position = 0
  for (let round = 0; round < 24; round++) {
    const c0 = column(0)
    const c1 = column(1)
    const c2 = column(2)
    const c3 = column(3)
    const c4 = column(4)
    turn(0, c4 ^ rotl<u64>(c1, 1))
    turn(1, c0 ^ rotl<u64>(c2, 1))
    turn(2, c1 ^ rotl<u64>(c3, 1))
    turn(3, c2 ^ rotl<u64>(c4, 1))
    turn(4, c3 ^ rotl<u64>(c0, 1))
    for (let row: usize = 0; row < 200; row += 40) {
      const a0 = load<u64>(turned + row)
      const a1 = load<u64>(turned + row, 8)
      const a2 = load<u64>(turned + row, 16)
      const a3 = load<u64>(turned + row, 24)
      const a4 = load<u64>(turned + row, 32)
      store<u64>(state + row, a0 ^ (~a1 & a2))
      store<u64>(state + row, a1 ^ (~a2 & a3), 8)
      store<u64>(state + row, a2 ^ (~a3 & a4), 16)
      store<u64>(state + row, a3 ^ (~a4 & a0), 24)
      store<u64>(state + row, a4 ^ (~a0 & a1), 32)
    }
    store<u64>(state, load<u64>(state) ^ load<u64>(roundConstants + (round << 3)))
  }
}

function column(x: usize): u64 {
  const at = state + (x << 3)
  return load<u64>(at) ^ load<u64>(at, 40) ^ load<u64>(at, 80) ^ load<u64>(at, 120) ^ load<u64>(at, 160)
}

/** θ, ρ and π for a column. */
function turn(x: usize, change: u64): void {
  for (let lane = x; lane < 25; lane += 5) {
    const value = rotl<u64>(load<u64>(state + (lane << 3)) ^ change, load<u8>(turns + lane))
    store<u64>(turned + (usize(load<u8>(places + lane)) << 3), value)
  }
}
