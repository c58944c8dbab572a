// Includes everything a plugin author needs.
#pragma once

#include <hearth/component.hpp>
#include <hearth/error.hpp>
#include <hearth/plugin.hpp>
#include <hearth/precision.hpp>
#include <hearth/text.hpp>
#include <hearth/tokens.hpp>
