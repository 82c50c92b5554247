import type { FingerprintHash } from '../../lib/keys/fingerprint.ts'
import { CommandError } from '../../src/command/errors.ts'
import type { CommandLine } from '../../src/command/options.ts'

/** How other than OpenSSH's own format keys are written and read (-m). PPK is PuTTY's. */
export type KeyFormat = 'RFC4716' | 'PKCS8' | 'PEM' | 'PPK'

/** The command line, each flag's last value checked as ssh-keygen checks it. */
export interface Settings {
  readonly flags: ReadonlySet<string>
  readonly operands: readonly string[]
  /** Raw values of flags that take a text. */
  readonly text: ReadonlyMap<string, string>
  /** -O, in order. */
  readonly options: readonly string[]
  readonly file: string | undefined
  readonly quiet: boolean
  /** How often -v was given. */
  readonly verbosity: number
  readonly bits: number | undefined
  readonly rounds: number | undefined
  readonly fingerprintHash: FingerprintHash
  readonly format: KeyFormat | undefined
  readonly serial: bigint
  /** -z +n: each certificate gets the next serial number. */
  readonly serialsCount: boolean
  readonly moduli: 'generate' | 'screen' | undefined
}

/** Ends the command as ssh-keygen's fatal errors do. */
export function fatal(message: string): never {
  throw new CommandError(message, 255)
}

const maxInt = 2 ** 31 - 1
const maxUint32 = 2 ** 32 - 1
const hashes: readonly FingerprintHash[] = ['md5', 'sha1', 'sha256', 'sha384', 'sha512']
const ciphers: readonly string[] = [
  ...['3des-cbc', 'aes128-cbc', 'aes192-cbc', 'aes256-cbc', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr'],
  ...['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com'],
]

/** strtonum(3): the number, or its word for what is wrong with it. */
export function parseNumber(value: string, max: number): number | 'invalid' | 'too small' | 'too large' {
  if (!/^\s*[+-]?\d+$/.test(value)) return 'invalid'
  const number = Number(value)
  return number < 1 ? 'too small' : number > max ? 'too large' : number
}

function takeNumber(value: string | undefined, max: number, complain: (problem: string) => string): number | undefined {
  if (value === undefined) return undefined
  const number = parseNumber(value, max)
  return typeof number === 'number' ? number : fatal(complain(number))
}

const formats: Readonly<Record<string, KeyFormat>> = {
  rfc4716: 'RFC4716',
  ssh2: 'RFC4716',
  pkcs8: 'PKCS8',
  pem: 'PEM',
  ppk: 'PPK',
}

function takeFormat(value: string | undefined): KeyFormat | undefined {
  if (value === undefined) return undefined
  const name = value.toLowerCase()
  return Object.hasOwn(formats, name) ? formats[name] : fatal(`Unsupported conversion format "${value}"`)
}

function takeHash(value: string): FingerprintHash {
  return hashes.find(name => name === value.toLowerCase()) ?? fatal(`Invalid hash algorithm "${value}"`)
}

function takeSerial(value: string): bigint {
  const digits = value.replace(/^\+/, '')
  const serial = /^\d+$/.test(digits) ? BigInt(digits) : undefined
  if (serial === undefined || serial > 0xffff_ffff_ffff_ffffn) return fatal(`Invalid serial number "${digits}"`)
  return serial
}

function takeCipher(value: string | undefined): void {
  if (value !== undefined && value !== 'none' && !ciphers.includes(value))
    fatal(`Invalid OpenSSH-format cipher '${value}'`)
}

/** @throws CommandError with ssh-keygen's words */
export function readSettings({ flags, operands }: CommandLine): Settings {
  const text = new Map(flags.map(({ name, value }) => [name, value]))
  const moduli = text.get('M')
  if (moduli !== undefined && moduli !== 'generate' && moduli !== 'screen') fatal(`Unsupported moduli option ${moduli}`)
  takeCipher(text.get('Z'))
  const serial = text.get('z')
  return {
    flags: new Set(text.keys()),
    operands,
    text,
    options: flags.filter(({ name }) => name === 'O').map(({ value }) => value),
    file: text.get('f'),
    quiet: text.has('q'),
    verbosity: flags.filter(({ name }) => name === 'v').length,
    bits: takeNumber(text.get('b'), maxUint32, problem => `Bits has bad value ${text.get('b')} (${problem})`),
    rounds: takeNumber(text.get('a'), maxInt, problem => `Invalid number: ${text.get('a')} (${problem})`),
    fingerprintHash: takeHash(text.get('E') ?? 'sha256'),
    format: takeFormat(text.get('m')),
    serial: serial === undefined ? 0n : takeSerial(serial),
    serialsCount: serial?.startsWith('+') ?? false,
    moduli: moduli === 'generate' || moduli === 'screen' ? moduli : undefined,
  }
}
