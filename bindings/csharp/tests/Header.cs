using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;

namespace LibSeed.Tests
{
    // What seed.h declares, without its comments.
    internal sealed class Header
    {
        private readonly string text;

        internal Header(string path)
        {
            text = Regex.Replace(File.ReadAllText(path), @"/\*.*?\*/", "", RegexOptions.Singleline);
        }

        // A parameter or a field: its C type without spaces and "const", its name, and how many there are.
        internal struct Place
        {
            internal string Type, Name;
            internal int Count;
        }

        internal sealed class Function
        {
            internal string Name, Result;
            internal Place[] Parameters;
        }

        internal IList<Function> Functions()
        {
            var found = new List<Function>();
            foreach (Match match in Regex.Matches(text,
                @"^(?:SEED_MUST_USE )?(?<result>[a-z][\w ]*?[\s*]+)(?<name>seed_\w+)\((?<parameters>[^;{}]*)\);",
                RegexOptions.Multiline))
            {
                var parameters = match.Groups["parameters"].Value.Trim();
                found.Add(new Function
                {
                    Name = match.Groups["name"].Value,
                    Result = Bare(match.Groups["result"].Value),
                    Parameters = parameters == "void" ? new Place[0] : parameters.Split(',').Select(Declared).ToArray(),
                });
            }
            return found;
        }

        // The fields of the structs, by the struct's name.
        internal IDictionary<string, Place[]> Structs()
        {
            return Regex.Matches(text, @"typedef struct \{(?<fields>[^}]*)\} (?<name>\w+);").Cast<Match>().ToDictionary(
                match => match.Groups["name"].Value,
                match => match.Groups["fields"].Value.Split(';').Where(field => field.Trim() != "").Select(Declared).ToArray());
        }

        // The names of the types of callbacks with their parameters.
        internal IDictionary<string, Place[]> Callbacks()
        {
            return Regex.Matches(text, @"typedef \w+ \(\*(?<name>\w+)\)\((?<parameters>[^)]*)\);").Cast<Match>().ToDictionary(
                match => match.Groups["name"].Value,
                match => match.Groups["parameters"].Value.Split(',').Select(Declared).ToArray());
        }

        // The numbers whose name begins so, by the rest of it.
        internal IDictionary<string, int> Numbers(string prefix)
        {
            return Regex.Matches(text, @"^#define " + prefix + @"(?<name>\w+) (?<number>\d+)\s*$", RegexOptions.Multiline)
                .Cast<Match>().ToDictionary(match => match.Groups["name"].Value, match => int.Parse(match.Groups["number"].Value));
        }

        private static Place Declared(string declaration)
        {
            var match = Regex.Match(declaration, @"^(?<type>.*?)(?<name>\w+)(\[(?<count>\d+)\])?\s*$", RegexOptions.Singleline);
            return new Place
            {
                Type = Bare(match.Groups["type"].Value),
                Name = match.Groups["name"].Value,
                Count = match.Groups["count"].Success ? int.Parse(match.Groups["count"].Value) : 1,
            };
        }

        private static string Bare(string type) => Regex.Replace(Regex.Replace(type, @"\bconst\b", ""), @"\s", "");
    }
}
