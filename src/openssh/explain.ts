import type { Setting } from './options.ts'
import { printOption } from './print.ts'
import type { SshConfig } from './resolve-ssh-config.ts'
import { type SshOptions, sshKeywords } from './ssh-config.ts'

/** Where an option has its value from. */
export interface Explanation {
  readonly property: keyof SshOptions
  /** The keyword as the manual page writes it. */
  readonly keyword: string
  /** The values as `-G` prints them; none while the option is unset. */
  readonly values: readonly string[]
  /** The lines that made the value, in order; none for a default. `-o` lines have the file `command-line`. */
  readonly setBy: readonly Setting[]
  /** Lines that applied and came too late. */
  readonly overruled: readonly Setting[]
}

/** Each effective option with the lines that set it and those that lost, in the order of `-G`. */
export function explainSshConfig(config: SshConfig): Explanation[] {
  const rows = Object.keys(sshKeywords) as (keyof SshOptions)[]
  return rows.map(property => {
    const row = sshKeywords[property]
    const unique = new Map<string, Setting>()
    for (const setting of config.history) {
      if (setting.property !== property) continue
      const key = `${setting.file}\n${setting.line}\n${setting.text}`
      // The second reading of the files finds every line of the first too late.
      if (!unique.has(key) || setting.effective) unique.set(key, setting)
    }
    const settings = [...unique.values()]
    return {
      property,
      keyword: row.name,
      values: printOption(row, config[property], '').map(line => line.slice(1)),
      setBy: settings.filter(setting => setting.effective),
      overruled: settings.filter(setting => !setting.effective),
    }
  })
}
