import { CommandError } from '../../src/command/errors.ts'
import { parseCommandLine, usage } from '../../src/command/options.ts'
import { defineMain } from '../../src/command/run.ts'
import { syntax } from './options.ts'
import { fatal, readSettings, type Settings } from './settings.ts'

export { run } from '../../src/command/run.ts'

/** What does one of ssh-keygen's many works; resolves to the exit status. */
type Verb = (settings: Settings) => Promise<number> | number

function refuse(complaint: string): never {
  throw new CommandError(`${complaint}\n${usage(syntax)}`, 1)
}

const signing = [
  ['find-principals', async () => (await import('./verify.ts')).findPrincipals],
  ['match-principals', async () => (await import('./verify.ts')).matchPrincipals],
  ['sign', async () => (await import('./sign.ts')).sign],
  ['check-novalidate', async () => (await import('./verify.ts')).checkNoValidate],
  ['verify', async () => (await import('./verify.ts')).verify],
] as const

function refuseDownload({ options }: Settings): never {
  for (const option of options)
    if (!/^device=/i.test(option)) fatal(`Option "${option}" is unsupported for FIDO authenticator download`)
  return fatal('Cannot download keys without provider: security keys are not supported')
}

/** Finds the work that the flags ask for, in ssh-keygen's order. Each is loaded alone: scripts run this a thousand times. */
async function chooseVerb({ flags, text, operands, moduli }: Settings): Promise<Verb> {
  const operation = text.get('Y')
  if (operation !== undefined) {
    const found = signing.find(([name]) => operation.startsWith(name))
    return found ? found[1]() : refuse(`Unsupported operation for -Y: "${operation}"`)
  }
  if (flags.has('s')) {
    if (operands.length === 0 && !flags.has('k')) refuse('Too few arguments.')
  } else if (operands.length > 0 && !flags.has('k') && !flags.has('Q') && !moduli) refuse('Too many arguments.')
  if (flags.has('p') && flags.has('c')) refuse('Can only have one of -p and -c.')
  if (flags.has('l') && (flags.has('H') || flags.has('R'))) refuse('Cannot use -l with -H or -R.')
  if (flags.has('k')) return (await import('./krl.ts')).writeKrl
  if (flags.has('Q')) return (await import('./krl.ts')).checkKrl
  if (flags.has('s')) return (await import('./certify.ts')).certify
  if (flags.has('L')) return (await import('./show-certificate.ts')).showCertificates
  if (['F', 'H', 'R'].some(flag => flags.has(flag))) return (await import('./known-hosts.ts')).editKnownHosts
  if (flags.has('D')) return () => fatal('PKCS#11 tokens are not supported: no provider can be loaded')
  if (flags.has('K')) return refuseDownload
  if (flags.has('l') || flags.has('B')) return (await import('./fingerprints.ts')).printFingerprints
  if (flags.has('p')) return (await import('./change.ts')).changePassphrase
  if (flags.has('c')) return (await import('./change.ts')).changeComment
  if (flags.has('e')) return (await import('./convert.ts')).exportKey
  if (flags.has('i') || flags.has('X')) return (await import('./convert.ts')).importKey
  if (flags.has('y')) return (await import('./convert.ts')).printPublic
  if (flags.has('r')) return (await import('./sshfp.ts')).printRecords
  if (moduli) return (await import('./moduli.ts')).makeModuli
  if (flags.has('A')) return (await import('./host-keys.ts')).makeHostKeys
  return (await import('./generate.ts')).generate
}

export const main = defineMain({ program: 'tssh-keygen', failureStatus: 255 }, async args => {
  // -V takes an argument here, so that the version has only its long name.
  if (args[0] === '--version') {
    const { versionLine } = await import('../../src/command/version.ts')
    process.stderr.write(`${versionLine()}\n`)
    return 0
  }
  const settings = readSettings(parseCommandLine(syntax, args))
  return (await chooseVerb(settings))(settings)
})
