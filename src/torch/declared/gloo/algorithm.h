// Included by c10d; nothing of it is named: see README.md.
#pragma once
