/**
 * Encoded terminal modes of RFC 4254 §8 (and RFC 8160) against the words of stty(1). One row per mode; both directions
 * follow from it.
 */

/** Special characters: opcode to stty's name. 255 as a value means "disabled". */
const characters: ReadonlyMap<number, string> = new Map([
  [1, 'intr'],
  [2, 'quit'],
  [3, 'erase'],
  [4, 'kill'],
  [5, 'eof'],
  [6, 'eol'],
  [7, 'eol2'],
  [8, 'start'],
  [9, 'stop'],
  [10, 'susp'],
  [11, 'dsusp'],
  [12, 'rprnt'],
  [13, 'werase'],
  [14, 'lnext'],
  [15, 'flush'],
  [16, 'swtch'],
  [17, 'status'],
  [18, 'discard'],
])

/** Flags: opcode to stty's name. */
const flags: ReadonlyMap<number, string> = new Map([
  [30, 'ignpar'],
  [31, 'parmrk'],
  [32, 'inpck'],
  [33, 'istrip'],
  [34, 'inlcr'],
  [35, 'igncr'],
  [36, 'icrnl'],
  [37, 'iuclc'],
  [38, 'ixon'],
  [39, 'ixany'],
  [40, 'ixoff'],
  [41, 'imaxbel'],
  [42, 'iutf8'],
  [50, 'isig'],
  [51, 'icanon'],
  [52, 'xcase'],
  [53, 'echo'],
  [54, 'echoe'],
  [55, 'echok'],
  [56, 'echonl'],
  [57, 'noflsh'],
  [58, 'tostop'],
  [59, 'iexten'],
  [60, 'echoctl'],
  [61, 'echoke'],
  [62, 'pendin'],
  [70, 'opost'],
  [71, 'olcuc'],
  [72, 'onlcr'],
  [73, 'ocrnl'],
  [74, 'onocr'],
  [75, 'onlret'],
  [90, 'cs7'],
  [91, 'cs8'],
  [92, 'parenb'],
  [93, 'parodd'],
])

const ispeed = 128
const ospeed = 129
const disabled = 255

/** Terminal modes as opcode to value, from what `stty -a` prints. */
export function terminalModes(settings: string): Map<number, number> {
  const modes = new Map<number, number>()
  const speed = Number(/speed (\d+) baud/.exec(settings)?.[1] ?? 38400)
  modes.set(ispeed, speed).set(ospeed, speed)
  const words = new Set(settings.split(/[\s;]+/))
  for (const [opcode, name] of characters) {
    const value = new RegExp(`(?:^|[\\s;])${name} = ([^;\\s]+)`).exec(settings)?.[1]
    if (value !== undefined) modes.set(opcode, characterCode(value))
  }
  for (const [opcode, name] of flags) {
    if (words.has(name)) modes.set(opcode, 1)
    else if (words.has(`-${name}`)) modes.set(opcode, 0)
  }
  // stty prints the size of a character as one word, not as two flags.
  if (words.has('cs8')) modes.set(90, 0)
  if (words.has('cs7')) modes.set(91, 0)
  return modes
}

/** Words for stty that bring a terminal to these modes; unknown opcodes are left out (RFC 4254 §8). */
export function sttyWords(modes: ReadonlyMap<number, number>): string[] {
  const words: string[] = []
  for (const [opcode, value] of modes) {
    const character = characters.get(opcode)
    const flag = flags.get(opcode)
    if (character && sttyKnows(character) && value <= disabled) words.push(character, characterWord(value))
    else if (flag && sttyKnows(flag)) {
      if (flag !== 'cs7' && flag !== 'cs8') words.push(value ? flag : `-${flag}`)
      else if (value) words.push(flag)
    } else if (opcode === ispeed && value > 0) words.push('ispeed', String(value))
    else if (opcode === ospeed && value > 0) words.push('ospeed', String(value))
  }
  return words
}

/** Names that no stty of a system we run on takes; one unknown word would make it refuse all. */
const foreign: ReadonlySet<string> =
  process.platform === 'linux'
    ? new Set(['dsusp', 'flush', 'status', 'pendin', 'onocr'])
    : new Set(['flush', 'swtch', 'iuclc', 'xcase', 'olcuc', 'pendin', 'onocr'])

const sttyKnows = (name: string): boolean => !foreign.has(name)

function characterCode(word: string): number {
  if (word === '<undef>') return disabled
  if (word === '^?') return 127
  if (word.startsWith('M-')) return 128 + characterCode(word.slice(2))
  if (word.length === 2 && word.startsWith('^')) return word.toUpperCase().charCodeAt(1) & 0x1f
  return word.charCodeAt(0) & 0xff
}

function characterWord(code: number): string {
  if (code === disabled) return 'undef'
  return `0x${code.toString(16).padStart(2, '0')}`
}
