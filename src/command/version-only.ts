import { CommandError } from './errors.ts'
import { parseCommandLine } from './options.ts'
import { defineMain, type Main } from './run.ts'
import { versionLine } from './version.ts'

/** A command that so far only knows its version, and says so for everything else. */
export function versionOnly(program: string, description: string): Main {
  return defineMain({ program, failureStatus: 1 }, async args => {
    const { flags } = parseCommandLine(
      {
        program,
        synopsis: '[-V]',
        description: `${description} This release answers -V only.`,
        flags: [{ name: 'V', description: 'print the version' }],
        usageStatus: 1,
      },
      args.filter(argument => argument === '-V' || argument === '--help'),
    )
    if (flags.length === 0) throw new CommandError(`${program}: not part of this release yet; only -V is answered`, 1)
    process.stderr.write(`${versionLine()}\n`)
    return 0
  })
}
