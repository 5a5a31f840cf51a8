import tseslint from 'typescript-eslint'

const banned = (names, message) => names.map(name => ({ name, message }))
const member = (object, property, message) => ({ object, property, message })

const CLOCKS = [
  member('Date', 'now', 'The clock is read in src/cli/process.ts; take a Clock.'),
  member('performance', 'now', 'The clock is read in src/cli/process.ts; take a Clock.'),
  member('Math', 'random', 'Randomness is seeded: take a Random.'),
  member('process', 'env', 'The environment is read in src/cli/process.ts; take an Environment.'),
  member('process', 'hrtime', 'The clock is read in src/cli/process.ts; take a Clock.'),
]

/** Neither the core nor the simulator may know that there is a process, a time of day or an event loop. */
const AMBIENT = ['performance', 'process', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'Buffer', 'fetch', 'crypto', 'console']
const PURE = 'Pure code: times, randomness and events are arguments.'

export default tseslint.config(
  { ignores: ['dist/', '.tap/', 'coverage/', 'out/', 'node_modules/'] },
  ...tseslint.configs.strict,
  {
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports', disallowTypeAnnotations: false }],
      // An index whose bounds were just checked is clearer with `!` than with a branch that cannot happen.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-dynamic-delete': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/unified-signatures': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/no-invalid-void-type': 'off',
      eqeqeq: 'error',
      'no-console': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-throw-literal': 'error',
      'object-shorthand': 'error',
      semi: ['error', 'never'],
      quotes: ['error', 'single', { avoidEscape: true, allowTemplateLiterals: true }],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/cli/process.ts'],
    rules: {
      'no-restricted-properties': ['error', ...CLOCKS],
      'no-restricted-syntax': ['error', { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: 'The wall clock is read in src/cli/process.ts.' }],
    },
  },
  { files: ['src/core/**/*.ts'], rules: { 'no-restricted-globals': ['error', ...banned([...AMBIENT, 'Date', 'Promise'], PURE)] } },
  // Reading a date of a trace is pure; a study waits for simulations that run on other threads.
  { files: ['src/simulator/**/*.ts'], rules: { 'no-restricted-globals': ['error', ...banned(AMBIENT, PURE)] } },
  { files: ['scripts/**/*.js', 'test/**/*.{ts,js}', '.ci/*.js'], rules: { 'no-console': 'off' } },
)
