import { looks, table } from './looks.js'
console.log(table(await looks()))
