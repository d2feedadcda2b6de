/* What HTML alone does not do: shortcuts. Every page works without this file. */
"use strict";
