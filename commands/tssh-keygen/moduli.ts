import {
  closeSync,
  createReadStream,
  existsSync,
  openSync,
  ReadStream,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { createInterface } from 'node:readline'
import { randomOdd } from '../../lib/crypto/prime.ts'
import {
  formatModulusLine,
  type ModulusLine,
  modulusTest,
  modulusType,
  parseModulusLine,
  screenCandidate,
  sieveCandidates,
} from '../../lib/keys/moduli-search.ts'
import { replaceFile } from '../../src/openssh/files.ts'
import { problemOf } from './keys.ts'
import { fatal, parseNumber, type Settings } from './settings.ts'
import { complain } from './terminal.ts'

const defaultBits = 3072
const bitsRange = { minimum: 512, maximum: 65536 } as const
const defaultRounds = 100
const minimumRounds = 4
const maxInt = 2 ** 31 - 1
const maxUint32 = 2 ** 32 - 1

/**
 * The range that is sieved and by which primes. OpenSSH looks at 2^31 numbers with primes up to 2^32, which takes minutes;
 * an eighth of the range, with primes up to 2^24, takes seconds and leaves some 400,000 candidates.
 */
const span = 2 ** 28
const primeLimit = 2 ** 24

/** -M: the two steps of making groups for Diffie-Hellman group exchange. */
export async function makeModuli(settings: Settings): Promise<number> {
  const { operands, moduli } = settings
  if (operands.length === 0) fatal('No output file specified')
  if (operands.length > 1) fatal('Too many output files specified')
  if (moduli === 'generate') {
    const options = readSieveOptions(settings.options)
    await writing(operands[0]!, 'w', output => sieve(options, output))
  } else {
    const options = readScreenOptions(settings.options)
    checkInput(settings.file)
    await writing(operands[0]!, 'a', output => screen(options, settings.file, output))
  }
  return 0
}

async function writing(path: string, flags: 'w' | 'a', write: (output: number) => void | Promise<void>): Promise<void> {
  const output = openOutput(path, flags)
  try {
    await write(output)
  } finally {
    if (output !== 1) closeSync(output)
  }
}

function openOutput(path: string, flags: 'w' | 'a'): number {
  if (path === '-') return 1
  try {
    return openSync(path, flags, 0o666)
  } catch (error) {
    const what = flags === 'w' ? 'modulus candidate file' : 'moduli file'
    return fatal(`Couldn't open ${what} "${path}": ${problemOf(error)}`)
  }
}

const stamp = (date = new Date()): string => {
  return `${date.toDateString().slice(0, -5).replace(/ 0/, '  ')} ${date.toTimeString().slice(0, 8)} ${date.getFullYear()}`
}

interface SieveRun {
  readonly bits: number
  readonly start: bigint | undefined
}

function readSieveOptions(options: readonly string[]): SieveRun {
  let bits: number = defaultBits
  let start: bigint | undefined
  for (const option of options) {
    const [, name = '', value = ''] = /^([^=]*=)(.*)$/.exec(option) ?? []
    if (name === 'start=') {
      if (!/^[0-9a-f]+$/i.test(value)) fatal('Invalid start point.')
      start = BigInt(`0x${value}`)
    } else if (name === 'bits=') {
      const number = parseNumber(value, maxInt)
      bits = typeof number === 'number' ? number : fatal(`Invalid number: ${value} (${number})`)
    } else fatal(`Option "${option}" is unsupported for moduli generation`)
  }
  return { bits, start }
}

function sieve({ bits, start }: SieveRun, output: number): void {
  if (bits > bitsRange.maximum || bits < bitsRange.minimum) {
    const problem =
      bits > bitsRange.maximum
        ? `many bits: ${bits} > ${bitsRange.maximum}`
        : `few bits: ${bits} < ${bitsRange.minimum}`
    complain(`Too ${problem}`)
    fatal('modulus candidate generation failed')
  }
  // q has a bit less than the modulus.
  const power = bits - 1
  complain(`${stamp()} Sieve next ${span} plus ${power}-bit`)
  let count = 0
  for (const modulus of sieveCandidates({ start: (start ?? randomOdd(power)) | 1n, span, primeLimit })) {
    const line: ModulusLine = {
      type: modulusType.sophieGermain,
      tests: modulusTest.sieve,
      tries: 0,
      size: power - 1,
      generator: 0,
      modulus,
    }
    writeLine(output, formatModulusLine(line, new Date()))
    count++
  }
  complain(`${stamp()} Found ${count} candidates`)
}

const writeLine = (fd: number, line: string): void => {
  writeSync(fd, `${line}\n`)
}

interface ScreenRun {
  readonly rounds: number
  readonly generator: number | undefined
  readonly startLine: number
  /** 0: to the end. */
  readonly lines: number
  readonly checkpoint: string | undefined
}

function readScreenOptions(options: readonly string[]): ScreenRun {
  let run: ScreenRun = { rounds: defaultRounds, generator: undefined, startLine: 0, lines: 0, checkpoint: undefined }
  for (const option of options) {
    const [, name = '', value = ''] = /^([^=]*=)(.*)$/.exec(option) ?? []
    const count = Number.parseInt(value, 10) || 0
    const number = parseNumber(value, name === 'generator=' ? maxUint32 : maxInt)
    if (name === 'lines=') run = { ...run, lines: count }
    else if (name === 'start-line=') run = { ...run, startLine: count }
    else if (name === 'checkpoint=') run = { ...run, checkpoint: value }
    else if (name === 'generator=')
      run = {
        ...run,
        generator: typeof number === 'number' ? number : fatal(`Generator invalid: ${value} (${number})`),
      }
    else if (name === 'prime-tests=')
      run = { ...run, rounds: typeof number === 'number' ? number : fatal(`Invalid number: ${value} (${number})`) }
    else fatal(`Option "${option}" is unsupported for moduli screening`)
  }
  return run
}

function checkInput(file: string | undefined): void {
  if (file !== undefined && file !== '-' && !existsSync(file))
    fatal(`Couldn't open modulus candidate file "${file}": No such file or directory`)
}

async function screen(run: ScreenRun, file: string | undefined, output: number): Promise<void> {
  if (run.rounds < minimumRounds) {
    complain(`Minimum primality trials is ${minimumRounds}`)
    fatal('modulus screening failed')
  }
  const input = file === undefined || file === '-' ? process.stdin : createReadStream(file)
  const from = Math.max(run.startLine, readCheckpoint(run.checkpoint))
  const end = run.lines === 0 ? Number.POSITIVE_INFINITY : run.startLine + run.lines
  const began = Date.now()
  let told = began
  let [at, candidates, found] = [0, 0, 0]
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (at >= end) break
    at++
    if (at <= from) continue
    if (run.checkpoint !== undefined) replaceFile(run.checkpoint, `${at}\n`)
    if (Date.now() - told >= progressEvery) {
      told = Date.now()
      complain(progressLine({ processed: at - from, total: totalOf(input, from, end), began }))
    }
    const candidate = parseModulusLine(text)
    const result = candidate ? screenCandidate(candidate, run) : 'no-candidate'
    if (result === 'no-candidate') continue
    candidates++
    if (result === 'not-prime') continue
    found++
    writeLine(output, formatModulusLine(result, new Date()))
  }
  if (run.checkpoint !== undefined) rmSync(run.checkpoint, { force: true })
  const seconds = Math.floor((Date.now() - began) / 1000)
  complain(`${stamp()} Found ${found} safe primes of ${candidates} candidates in ${seconds} seconds`)
}

/** Milliseconds between two lines that say how far a screening is. */
const progressEvery = 300_000

/** How many lines are to be screened, if a file says so. */
function totalOf(input: NodeJS.ReadableStream, from: number, end: number): number | undefined {
  if (end !== Number.POSITIVE_INFINITY) return end - from
  return input instanceof ReadStream ? countLines(String(input.path)) - from : undefined
}

function countLines(path: string): number {
  const [file, room] = [openSync(path, 'r'), Buffer.alloc(1 << 16)]
  let lines = 0
  for (let bytes = readSync(file, room); bytes > 0; bytes = readSync(file, room)) {
    for (let at = room.indexOf('\n'); at >= 0 && at < bytes; at = room.indexOf('\n', at + 1)) lines++
  }
  closeSync(file)
  return lines
}

/** Days, hours and minutes. */
function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60)
  const days = Math.floor(minutes / 1440)
  const clock = `${Math.floor(minutes / 60) % 24}:${String(minutes % 60).padStart(2, '0')}`
  return days > 0 ? `${days}d ${clock}` : clock
}

/** How far a screening is, as ssh-keygen says it. */
export function progressLine(
  { processed, total, began }: { processed: number; total: number | undefined; began: number },
  now = new Date(),
): string {
  const seconds = Math.floor((now.getTime() - began) / 1000)
  if (total === undefined) return `${stamp(now)} processed ${processed} in ${duration(seconds)}`
  const rest = Math.floor((seconds / processed) * (total - processed))
  const percent = Math.floor((100 * processed) / total)
  return `${stamp(now)} processed ${processed} of ${total} (${percent}%) in ${duration(seconds)}, ETA ${duration(rest)}`
}

/** How far an earlier run came. */
function readCheckpoint(path: string | undefined): number {
  if (path === undefined || !existsSync(path)) return 0
  const line = Number.parseInt(readFileSync(path, 'latin1'), 10)
  if (Number.isNaN(line)) {
    complain(`Failed to load checkpoint from '${path}'`)
    return 0
  }
  complain(`Loaded checkpoint from '${path}' line ${line}`)
  return line
}
